"""Read and write connections, lanes, requested syncs, and live workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import (
    ColumnElement,
    Table,
    Text,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher.tables import (
    connections,
    known_items,
    lanes,
    log_marks,
    outbox,
    parts,
    schemas,
    seen_cursors,
    syncs,
    unclaimed,
    workers,
)
from shared import clock
from shared.connector import PartSchema
from shared.contracts.connections import Connection
from shared.contracts.items import PAGES_PER_CLAIM
from shared.contracts.syncs import SyncRequested
from shared.contracts.topics import BACKGROUND_JOBS, ITEMS, JOBS, PROGRESS
from shared.db import Database, db_now, in_array, json_array, machine_now
from shared.kafka import Producer
from shared.log_marks import LogMarks
from shared.outbox import Relay

BELIEVED_UNTIL: Final = 8_000_000_000
"""Epochs from a clock or a message stay below this (the year 2223).

The 2^53 of an exact number in JavaScript, less 20 bits for pages, leaves half a billion claims
above.
"""

_HOLDS_NOTHING: Final[dict[str, Any]] = {"digest": "0" * 32, "invalidated": 0}
"""The columns of a lane without known items."""
_STANDING: Final = select(connections.c.status, connections.c.generation).where(
    connections.c.id == bindparam("id")
)


async def connection(db: AsyncConnection, connection_id: str) -> Connection | None:
    raw = (
        await db.execute(select(connections.c.snapshot).where(connections.c.id == connection_id))
    ).scalar()
    return None if raw is None else msgspec.json.decode(raw, type=Connection)


async def every_connection(db: AsyncConnection) -> list[Connection]:
    found = await db.execute(select(connections.c.snapshot).order_by(connections.c.id))
    return [msgspec.json.decode(raw, type=Connection) for raw in found.scalars()]


async def save_connection(db: AsyncConnection, snapshot: Connection, *, parallel: int) -> bool:
    """Save the snapshot if it is newer than the known one; return whether it was.

    ``parallel`` is how many of its jobs may be dispatched at once.
    """
    row = {
        "id": snapshot.id,
        "version": snapshot.version,
        "generation": snapshot.generation,
        "status": snapshot.status,
        "snapshot": msgspec.json.encode(snapshot),
        "parallel": parallel,
    }
    statement = upsert(connections).values(row)
    newer = statement.on_conflict_do_update(
        index_elements=["id"], set_=row, where=connections.c.version < snapshot.version
    )
    return (await db.execute(newer)).rowcount == 1


async def is_gone(db: AsyncConnection, connection_id: str, generation: int) -> bool:
    """Return whether this generation of the connection has been disconnected."""
    found = (await db.execute(_STANDING, {"id": connection_id})).first()
    return found is not None and (found.status == "disconnected" or found.generation != generation)


async def open_lanes(db: AsyncConnection, connection_id: str, resources: Sequence[str]) -> set[str]:
    """Create the lanes that are new; return those that were once loaded to their end."""
    new = {"connection_id": connection_id, "epoch": 0, "loaded": 0, **_HOLDS_NOTHING}
    rows = [{**new, "resource": resource} for resource in resources]
    if rows:
        await db.execute(upsert(lanes).on_conflict_do_nothing(), rows)
    loaded = select(lanes.c.resource).where(
        lanes.c.connection_id == connection_id, lanes.c.loaded != 0
    )
    return set((await db.execute(loaded)).scalars())


async def lanes_of(db: AsyncConnection, connection_id: str) -> list[str]:
    found = await db.execute(select(lanes.c.resource).where(lanes.c.connection_id == connection_id))
    return list(found.scalars())


async def take_lane(
    db: AsyncConnection, connection_id: str, resource: str, *, job_id: str
) -> int | None:
    """Take the lane under a new epoch; return it, or None when another job has the lane."""
    lane = _lane(connection_id, resource)
    found = (
        await db.execute(select(lanes.c.job_id, lanes.c.epoch, db_now().label("now_s")).where(lane))
    ).first()
    if found is None or found.job_id not in {None, job_id}:
        return None
    epoch = next_epoch(found.epoch, found.now_s)
    unchanged = lane & (lanes.c.epoch == found.epoch)
    # An operator may have emptied ``known_items``, so that everything is sent again.
    empty = ~exists().where(
        known_items.c.connection_id == connection_id, known_items.c.resource == resource
    )
    values: dict[str, Any] = {"job_id": job_id, "epoch": epoch}
    for name, nothing in _HOLDS_NOTHING.items():
        values[name] = case((empty, nothing), else_=lanes.c[name])
    taken = await db.execute(update(lanes).where(unchanged).values(values))
    return epoch if taken.rowcount == 1 else None


def next_epoch(last: int, now_s: float) -> int:
    """Return the epoch of a lane's next claim: the last one + 1, or the seconds since 1970."""
    # The seconds help when the database was lost or restored from a backup: the last epoch it knows
    # is then lower than what was already sent, and readers would ignore everything sent from there.
    # A clock that was set back does no harm, since the last epoch counts too. A clock that is far
    # ahead is not believed; otherwise no epochs would be left.
    seconds = int(now_s)
    return max(last + 1, seconds if seconds < BELIEVED_UNTIL else 0)


async def raise_epoch(
    db: AsyncConnection, connection_id: str, resource: str, *, version: int
) -> None:
    """Put every later claim of the lane above ``version``, which readers have of an item.

    Raises:
        ValueError: the version is higher than any we can have sent.
    """
    epoch = version // PAGES_PER_CLAIM
    if epoch >= BELIEVED_UNTIL:
        raise ValueError(f"version {version} leaves no room for a newer one")
    lower = _lane(connection_id, resource) & (lanes.c.epoch < epoch)
    await db.execute(update(lanes).where(lower).values(epoch=epoch))


async def free_lane(db: AsyncConnection, connection_id: str, resource: str, *, job_id: str) -> None:
    mine = _lane(connection_id, resource) & (lanes.c.job_id == job_id)
    await db.execute(update(lanes).where(mine).values(job_id=None))


async def free_lanes(db: AsyncConnection, connection_id: str, job_ids: Sequence[str]) -> None:
    """Free the lanes that these jobs have."""
    theirs = (lanes.c.connection_id == connection_id) & in_array(
        lanes.c.job_id, bindparam("ids", type_=Text)
    )
    await db.execute(update(lanes).where(theirs).values(job_id=None), {"ids": json_array(job_ids)})


async def lane_loaded(
    db: AsyncConnection,
    connection_id: str,
    resource: str,
    *,
    loaded: bool,
    begun_at: float | None = None,
) -> None:
    """Note that a load of the lane has come to its end, or that it was emptied.

    ``begun_at`` is the time of the load's oldest page. A lane that was lost before is whole again.
    """
    lane = _lane(connection_id, resource)
    await db.execute(update(lanes).where(lane).values(loaded=int(loaded)))
    whole = lane if begun_at is None else lane & (lanes.c.lost_at <= begun_at)
    await db.execute(update(lanes).where(whole).values(lost_at=None))


async def lane_lost(db: AsyncConnection, connection_id: str, resource: str) -> None:
    """Note that readers may lack items of the lane until its next load has ended."""
    lane = _lane(connection_id, resource)
    await db.execute(update(lanes).where(lane).values(lost_at=clock.now()))


async def lost_lanes(db: AsyncConnection) -> int:
    """Return of how many lanes readers may lack items, not counting what cannot be read now."""
    of_active = connections.c.status.in_(("active", "degraded"))
    query = (
        select(func.count())
        .select_from(lanes.join(connections, connections.c.id == lanes.c.connection_id))
        .where(lanes.c.lost_at.is_not(None), of_active)
    )
    return int((await db.execute(query)).scalar_one())


async def confirm_at(
    db: AsyncConnection, connection_id: str, resource: str, at: float | None
) -> None:
    """Set when the lane next asks, in the background, for what its walks did not find."""
    lane = _lane(connection_id, resource)
    await db.execute(update(lanes).where(lane).values(confirm_at=at))


async def lanes_to_confirm(db: AsyncConnection, *, most: int) -> list[tuple[str, str]]:
    """Return the connection and resource of each lane whose time to ask has come."""
    due = select(lanes.c.connection_id, lanes.c.resource).where(lanes.c.confirm_at <= clock.now())
    found = await db.execute(due.order_by(lanes.c.confirm_at).limit(most))
    return [(row.connection_id, row.resource) for row in found]


async def other_lanes_to_confirm(db: AsyncConnection, connection_id: str, resource: str) -> int:
    """Return how many other lanes of the connection have something to ask in the background."""
    others = (lanes.c.connection_id == connection_id) & (lanes.c.resource != resource)
    query = select(func.count()).where(others, lanes.c.confirm_at.is_not(None))
    return int((await db.execute(query)).scalar_one())


async def take_confirmation(db: AsyncConnection, connection_id: str, resource: str) -> bool:
    """Clear the lane's time to ask; return False when somebody else has done so."""
    due = _lane(connection_id, resource) & (lanes.c.confirm_at <= clock.now())
    return (await db.execute(update(lanes).where(due).values(confirm_at=None))).rowcount == 1


async def forget_places(db: AsyncConnection, connection_id: str, resource: str) -> None:
    """Make the next load start every part of the lane from its beginning."""
    lane = (parts.c.connection_id == connection_id) & (parts.c.resource == resource)
    anew = {"cursor": None, "schema_digest": None, "begun_at": None}
    await db.execute(update(parts).where(lane).values(anew))
    seen = (seen_cursors.c.connection_id == connection_id) & (seen_cursors.c.resource == resource)
    await db.execute(delete(seen_cursors).where(seen))


async def last_schemas(
    db: AsyncConnection, connection_id: str, resource: str
) -> dict[str, PartSchema]:
    """Return what was last remembered of the lane's schemas, by their keys."""
    its = (schemas.c.connection_id == connection_id) & (schemas.c.resource == resource)
    found = await db.execute(select(schemas.c.key, schemas.c.schema).where(its))
    return {row.key: msgspec.json.decode(row.schema) for row in found}


async def remember_schema(
    db: AsyncConnection, connection_id: str, resource: str, key: str, schema: PartSchema
) -> None:
    """Put a schema in the place of the one before it."""
    row = {"connection_id": connection_id, "resource": resource, "key": key}
    given = {"schema": msgspec.json.encode(schema).decode()}
    statement = upsert(schemas).values({**row, **given})
    await db.execute(statement.on_conflict_do_update(index_elements=list(row), set_=given))


async def forget_schemas(db: AsyncConnection, connection_id: str, resource: str) -> None:
    its = (schemas.c.connection_id == connection_id) & (schemas.c.resource == resource)
    await db.execute(delete(schemas).where(its))


async def first_time(db: AsyncConnection, sync_id: str, connection_id: str) -> bool:
    """Register a sync; return False when it was planned before (messages come at least once)."""
    row = {"id": sync_id, "connection_id": connection_id, "requested_at": clock.now()}
    return (await db.execute(upsert(syncs).values(row).on_conflict_do_nothing())).rowcount == 1


async def planned(db: AsyncConnection, sync_id: str) -> bool:
    return bool((await db.execute(select(exists().where(syncs.c.id == sync_id)))).scalar())


async def put_aside(db: AsyncConnection, request: SyncRequested, *, seconds: float) -> None:
    """Keep a request whose connection is not known yet."""
    row = {
        "sync_id": request.sync_id,
        "connection_id": request.connection_id,
        "request": msgspec.json.encode(request),
    }
    statement = upsert(unclaimed).values({**row, "expires_at": db_now() + seconds})
    await db.execute(statement.on_conflict_do_nothing())


async def waited_too_long(db: AsyncConnection) -> set[str]:
    """Return the connections for which requests have waited too long."""
    return set(
        (
            await db.execute(
                select(unclaimed.c.connection_id).where(unclaimed.c.expires_at < db_now())
            )
        ).scalars()
    )


async def take_put_aside(db: AsyncConnection, connection_id: str) -> list[SyncRequested]:
    """Remove and return the requests that were waiting for the connection."""
    taken = (
        delete(unclaimed)
        .where(unclaimed.c.connection_id == connection_id)
        .returning(unclaimed.c.request)
    )
    return [
        msgspec.json.decode(raw, type=SyncRequested) for raw in (await db.execute(taken)).scalars()
    ]


async def arrive(db: AsyncConnection, worker_id: str) -> None:
    await db.execute(insert(workers).values(id=worker_id, beat_at=machine_now()))


async def beat(db: AsyncConnection, worker_id: str) -> bool:
    """Record a heartbeat; return False when the others took this worker for dead."""
    return (
        await db.execute(
            update(workers).where(workers.c.id == worker_id).values(beat_at=machine_now())
        )
    ).rowcount == 1


async def silent(db: AsyncConnection, worker_id: str) -> float:
    """Return the seconds since this worker's last beat."""
    since = select(machine_now() - workers.c.beat_at).where(workers.c.id == worker_id)
    return float((await db.execute(since)).scalar() or 0.0)


async def forget_workers(
    db: AsyncConnection, *, silent_s: float = 0.0, only: str | None = None
) -> None:
    """Forget the workers silent for ``silent_s``, or ``only`` the one that is leaving."""
    dead = workers.c.beat_at <= machine_now() - silent_s if only is None else workers.c.id == only
    await db.execute(delete(workers).where(dead))


async def live_workers(db: AsyncConnection) -> set[str]:
    return set((await db.execute(select(workers.c.id))).scalars())


WRITTEN: Final[Mapping[str, Table | None]] = {
    JOBS: outbox,
    BACKGROUND_JOBS: outbox,
    PROGRESS: outbox,
    ITEMS: None,
}
"""The topics that the fetcher fills, and from which table. Items do not go through the outbox."""


def marks(log_ids: Mapping[str, str]) -> LogMarks:
    return LogMarks(log_marks, log_ids)


def relay(database: Database, producer: Producer, marks: LogMarks | None) -> Relay:
    return Relay(database, outbox, producer, marks=marks)


def _lane(connection_id: str, resource: str) -> ColumnElement[bool]:
    return (lanes.c.connection_id == connection_id) & (lanes.c.resource == resource)
