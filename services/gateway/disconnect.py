"""End a connection: its items are gone from the gateway when this returns, elsewhere soon after."""

from __future__ import annotations

from services.gateway.hub import Hub
from services.gateway.snapshot import take_snapshot
from shared.contracts.connections import Connection


async def disconnect(connection_id: str, *, hub: Hub) -> Connection:
    """Done again it gives the same answer. Raises ``NotFound``."""
    snapshot = await hub.auth.disconnect(connection_id)
    offered = hub.settings.providers.get(snapshot.provider)
    async with hub.database.write() as db:
        await take_snapshot(db, snapshot, provider=offered.provider if offered else None)
    hub.watch.changed()
    return snapshot
