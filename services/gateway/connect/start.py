"""Start a consent."""

from __future__ import annotations

from services.gateway.connect.return_url import checked_return_url
from services.gateway.hub import Hub
from services.gateway.store import flows
from shared.contracts.auth import Flow, StartFlow
from shared.errors import BadRequest


async def start_connect(*, provider: str, org_id: str, user_id: str, return_url: str | None = None, hub: Hub) -> Flow:
    """A flow whose ``authorize_url`` is our own short link, good for ten minutes.

    Raises ``BadRequest`` for an unknown provider, an empty name or a return URL that is not ours to send to, and
    ``Forbidden`` for another organisation than the caller's.
    """
    hub.offered(provider)
    hub.check_org(org_id)
    if "\0" in org_id + user_id:
        raise BadRequest("org_id and user_id have to be plain text.", code="bad_name")
    wanted = StartFlow(
        provider=provider,
        org_id=org_id,
        user_id=user_id,
        return_url=checked_return_url(
            return_url,
            own=hub.settings.public_url,
            allowed_origins=hub.settings.allowed_origins,
            served=hub.served,
        ),
    )
    flow = await hub.auth.start_flow(wanted)
    async with hub.database.write() as db:
        await flows.add(db, flow)
    return flow
