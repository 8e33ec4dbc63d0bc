"""See how a consent went."""

from __future__ import annotations

from services.gateway.hub import Hub
from shared.contracts.auth import Flow
from shared.errors import HubError, NotFound


async def read_flow(flow_id: str, *, hub: Hub) -> Flow:
    """Raises ``NotFound``: for another organisation's in the words for one that never was."""
    if hub.org is None:
        return await hub.auth.flow(flow_id)
    try:
        flow = await hub.auth.flow(flow_id)
    except HubError as error:
        if error.status not in {404, 410}:
            raise
        flow = None
    if flow is None or flow.org_id != hub.org:
        raise NotFound("There is no such connect link; links are forgotten after a day. Start connecting again.")
    return flow
