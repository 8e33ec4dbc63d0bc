"""End a connection: its items are gone from the gateway when this returns, elsewhere soon after."""

from __future__ import annotations

from services.gateway.hub import Hub
from services.gateway.snapshot import take_snapshot
from services.gateway.store import READ_MODEL, connections
from shared.contracts.connections import Connection
from shared.errors import NotFound


async def disconnect(connection_id: str, *, hub: Hub) -> Connection:
    """Done again it gives the same answer. Raises ``NotFound``."""
    if hub.org is not None:
        async with hub.database.read() as db:
            if await connections.get(db, connection_id, org=hub.org) is None:
                raise NotFound("There is no such connection.")
    snapshot = await hub.auth.disconnect(connection_id)
    offered = hub.settings.providers.get(snapshot.provider)
    async with hub.database.write(lock=READ_MODEL) as db:
        await take_snapshot(db, snapshot, provider=offered.provider if offered else None)
    hub.watch.changed()
    return snapshot
