"""Limit how many jobs of a connection are dispatched at once. The least recently served is next.

Running and ready jobs count; a job that waits until some time does not. Everything here belongs in
a transaction that holds the connection's lock, or two claims could take the same slot.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher.jobs.queries import Job, from_row
from services.fetcher.tables import connections, jobs

LEAST: Final = 1


async def free_slots(db: AsyncConnection, connection_id: str) -> int:
    """Return how many more jobs may be dispatched."""
    return await _allowed(db, connection_id) - await _dispatched(db, connection_id, besides="")


async def has_slot(db: AsyncConnection, connection_id: str, *, besides: str = "") -> bool:
    """Return whether one more job may be dispatched, not counting the job ``besides``."""
    return await _dispatched(db, connection_id, besides=besides) < await _allowed(db, connection_id)


async def has_queued(db: AsyncConnection, connection_id: str) -> bool:
    """Return whether a job of the connection waits for a slot."""
    queued = (jobs.c.connection_id == connection_id) & (jobs.c.state == "awaiting_slot")
    return (await db.execute(select(jobs.c.id).where(queued).limit(1))).first() is not None


async def next_queued(db: AsyncConnection, connection_id: str) -> Job | None:
    """Return the job that waits for a slot and has gone unserved for longest."""
    queued = (jobs.c.connection_id == connection_id) & (jobs.c.state == "awaiting_slot")
    first = select(jobs).where(queued).order_by(jobs.c.changed_at, jobs.c.id).limit(1)
    row = (await db.execute(first)).mappings().first()
    return None if row is None else from_row(dict(row))


async def _dispatched(db: AsyncConnection, connection_id: str, *, besides: str) -> int:
    counted = (
        (jobs.c.connection_id == connection_id)
        & (jobs.c.id != besides)
        & jobs.c.state.in_(("running", "ready"))
    )
    return int(
        (await db.execute(select(func.count()).select_from(jobs).where(counted))).scalar_one()
    )


async def _allowed(db: AsyncConnection, connection_id: str) -> int:
    parallel = select(connections.c.parallel).where(connections.c.id == connection_id)
    found: int | None = (await db.execute(parallel)).scalar()
    return found or LEAST
