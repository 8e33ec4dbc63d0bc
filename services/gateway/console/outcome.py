"""What became of a consent that came back to the console in the same tab."""

from __future__ import annotations

from services.gateway.console.acting import shows
from services.gateway.console.render import Notice
from services.gateway.hub import Hub
from shared.errors import HubError


async def outcome(hub: Hub, flow_id: str) -> Notice | None:
    """None while it is open, and for a flow that is not the console's own or is forgotten by now."""
    try:
        flow = await hub.auth.flow(flow_id)
    except HubError:
        return None
    if not shows(hub, flow):
        return None
    offered = hub.settings.providers.get(flow.provider)
    name = offered.provider.name if offered else flow.provider
    match flow.status:
        case "connected":
            return Notice("good", f"{name} is connected.", "Its items are on their way.")
        case "failed":
            why = flow.error.detail if flow.error else "The provider did not say why."
            return Notice("bad", f"{name} was not connected.", why)
        case "pending":
            return None
