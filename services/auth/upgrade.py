"""What auth does when all topics are made anew: whoever reads them has to hear of every connection again."""

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
    """Put every connection's whole snapshot into the outbox, instead of what was in it before.

    An active one has a new sync, as after a consent. A fetcher that has never heard of the sync of any of them loads
    it, so all are loaded that can be. Return how many those are.
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
