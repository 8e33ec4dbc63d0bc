"""Take in what auth says of a connection: from its answer at once, and from its topic for ever after."""

from __future__ import annotations

import time

from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.store import connections, items, syncs
from services.gateway.store.syncs import Sync
from shared.connector import Provider
from shared.contracts.connections import Connection
from shared.contracts.envelope import Undecodable
from shared.contracts.syncs import SyncRequested


async def take_snapshot(db: AsyncConnection, snapshot: Connection, *, provider: Provider | None) -> None:
    """Keep a newer snapshot: the sync it names begins with it, and a disconnect takes its items away.

    An older one, or the same again, changes nothing.
    """
    before = await connections.get(db, snapshot.id)
    if not await connections.save(db, snapshot):
        return
    if before is not None and before.generation < snapshot.generation and before.status != "disconnected":
        # Its end was not heard of: the answer to the consent that followed came first.
        await items.drop_generations(db, snapshot.id, up_to=before.generation)
    if snapshot.status == "disconnected":
        await items.drop_generations(db, snapshot.id, up_to=snapshot.generation)
    elif snapshot.sync_id and provider is not None:
        await syncs.add(db, first_sync(snapshot, snapshot.sync_id, provider))


def first_sync(snapshot: Connection, id_: str, provider: Provider) -> Sync:
    """The sync that a ``Connected`` or ``Recovered`` event starts; it has the event's id, and so its time."""
    return Sync(
        id=id_,
        connection=snapshot.id,
        mode="full",
        resources=tuple(resource.slug for resource in provider.resources),
        whole=True,
        why="connected",
        created=_made_at(id_),
    )


def asked_sync(asked: SyncRequested) -> Sync:
    """The sync that a request of ours made, as its row was written then. Raises ``Undecodable``."""
    try:
        created = syncs.moment(asked.requested)
    except ValueError:
        raise Undecodable("malformed", "requested is not a time") from None
    return Sync(
        id=asked.sync,
        connection=asked.connection,
        mode=asked.mode,
        resources=asked.covers or asked.resources or (),
        whole=asked.resources is None,
        why=asked.why,
        created=created,
    )


def _made_at(id_: str) -> float:
    """Epoch seconds out of a UUIDv7 (RFC 9562 §5.7), so that a rebuilt read model shows the same time."""
    try:
        return int(id_[:12], 16) / 1000
    except ValueError:
        return time.time()
