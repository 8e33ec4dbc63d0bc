"""Send every connection again after the topics were created anew.

Whoever reads the new topics has not heard of a single connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from services.auth import store
from shared.contracts.connections import STARTS_SYNC
from shared.contracts.envelope import new_id, timestamp
from shared.contracts.vocabulary import ConnectionStatus

KINDS: Final[Mapping[ConnectionStatus, str]] = {
    "active": "Recovered",
    "degraded": "Degraded",
    "reauth_required": "ReauthorizationNeeded",
    "disconnected": "Disconnected",
}


async def send_connections_again(db: AsyncConnection) -> int:
    """Replace the outbox with every connection's snapshot; return how many will be synced.

    Those are the active and the degraded ones. A connection that announces a sync gets a new one,
    as after a consent; the fetcher runs every sync that it has not heard of.
    """
    await store.forget_unsent(db)
    found = await store.every_connection(db)
    now = timestamp()
    for connection in found:
        kind = KINDS[connection.status]
        sync_id = new_id() if kind in STARTS_SYNC else connection.sync_id
        changed = replace(
            connection, version=connection.version + 1, sync_id=sync_id, updated_at=now
        )
        await store.publish(db, changed, kind)
    return sum(connection.status in {"active", "degraded"} for connection in found)
