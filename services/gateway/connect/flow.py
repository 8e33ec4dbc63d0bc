"""Start a consent, hand it to the browser that opens its link, see how it went."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from services.gateway.connect import queries as flows
from services.gateway.context import GatewayContext
from services.gateway.http.return_url import checked_return_url
from shared.contracts.auth import Flow, StartFlow
from shared.errors import BadRequest, HubError, NotFound

_PLAIN: Final = "flow_"
_HOST_ONLY: Final = "__Host-flow_"
_FLOW_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")


async def start_connect(
    *, provider: str, org_id: str, user_id: str, return_url: str | None = None, context: GatewayContext
) -> Flow:
    """A flow whose ``authorize_url`` is our own short link, good for ten minutes.

    Raises ``BadRequest`` for an unknown provider, an empty name or a return URL that is not ours to send to, and
    ``Forbidden`` for another organisation than the caller's.
    """
    context.require_provider(provider)
    context.check_org(org_id)
    if "\0" in org_id + user_id:
        raise BadRequest("org_id and user_id have to be plain text.", code="bad_name")
    wanted = StartFlow(
        provider=provider,
        org_id=org_id,
        user_id=user_id,
        return_url=checked_return_url(
            return_url,
            own=context.settings.public_url,
            allowed_origins=context.settings.allowed_origins,
            served=context.served,
        ),
    )
    flow = await context.auth.start_flow(wanted)
    async with context.database.write() as db:
        await flows.add(db, flow)
    return flow


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """Where to send the browser, and the ``Set-Cookie`` that binds the flow to it."""

    url: str
    cookie: str


async def open_connect(flow_id: str, *, context: GatewayContext) -> Opened:
    """Raises ``NotFound``, or ``HubError`` with status 410 when the link was used or is too old."""
    if not _FLOW_ID.fullmatch(flow_id):
        raise NotFound("There is no such connect link. Start connecting again.")
    opened = await context.auth.open_flow(flow_id)
    cookie = _set_cookie(context, flow_id, opened.cookie, max_age_s=opened.max_age_s)
    return Opened(url=opened.authorize_url, cookie=cookie)


def dropped_cookie(flow_id: str, *, context: GatewayContext) -> str:
    """The ``Set-Cookie`` that takes a flow's cookie away."""
    return _set_cookie(context, flow_id, "", max_age_s=0)


def flow_cookies(cookies: Mapping[str, str]) -> dict[str, str]:
    """Flow id → value of the flow cookies among a request's cookies."""
    found = {}
    for name, value in cookies.items():
        for prefix in (_PLAIN, _HOST_ONLY):
            if name.startswith(prefix) and _FLOW_ID.fullmatch(name[len(prefix) :]):
                found[name[len(prefix) :]] = value
    return found


def _set_cookie(context: GatewayContext, flow_id: str, value: str, *, max_age_s: int) -> str:
    """Lax, because Strict cookies are not sent on the way back from a provider; Secure where the public URL is https.

    Browsers take ``__Host-`` cookies on plain http not everywhere, not even for localhost.
    """
    secure = context.settings.public_url.startswith("https://")
    name = f"{_HOST_ONLY if secure else _PLAIN}{flow_id}"
    cookie = f"{name}={value}; HttpOnly; Max-Age={max_age_s}; Path=/; SameSite=Lax"
    return f"{cookie}; Secure" if secure else cookie


async def read_flow(flow_id: str, *, context: GatewayContext) -> Flow:
    """Raises ``NotFound``: for another organisation's in the words for one that never was."""
    if context.org is None:
        return await context.auth.flow(flow_id)
    try:
        flow = await context.auth.flow(flow_id)
    except HubError as error:
        if error.status not in {404, 410}:
            raise
        flow = None
    if flow is None or flow.org_id != context.org:
        raise NotFound("There is no such connect link; links are forgotten after a day. Start connecting again.")
    return flow
