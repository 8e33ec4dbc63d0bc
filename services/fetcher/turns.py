"""At most so many wake-ups of a connection are out at once; its other jobs wait for their turn, least served first.

Counted are jobs that run and those that could: one that is parked until a time is not. Everything here belongs in a
transaction that holds the connection's lock.
"""

from __future__ import annotations

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher.job import Job, from_row, wake_up
from services.fetcher.tables import connections, jobs, outbox
from shared.outbox import append

LEAST = 1


async def room(db: AsyncConnection, connection: str) -> int:
    """How many more may be out."""
    return await _allowed(db, connection) - await _out(db, connection, besides="")


async def free(db: AsyncConnection, connection: str, *, besides: str) -> bool:
    """Whether one more may be out, not counting the job ``besides``."""
    return await _out(db, connection, besides=besides) < await _allowed(db, connection)


async def others_wait(db: AsyncConnection, connection: str) -> bool:
    waits = (jobs.c.connection == connection) & (jobs.c.state == "turn")
    return (await db.execute(select(jobs.c.id).where(waits).limit(1))).first() is not None


async def give(db: AsyncConnection, connection: str) -> None:
    """Wake who waits for a turn, longest unserved first, as many as may be out."""
    waits = (jobs.c.connection == connection) & (jobs.c.state == "turn")
    query = select(jobs).where(waits).order_by(jobs.c.changed, jobs.c.id)
    waiting = [from_row(dict(row)) for row in (await db.execute(query.limit(1))).mappings()]
    while waiting and await free(db, connection, besides=""):
        await _wake(db, waiting[0])
        waiting = [from_row(dict(row)) for row in (await db.execute(query.limit(1))).mappings()]


async def _wake(db: AsyncConnection, job: Job) -> None:
    job.wake += 1
    await db.execute(update(jobs).where(jobs.c.id == job.id).values(state="ready", wake=job.wake))
    await append(db, outbox, [wake_up(job)])


async def _out(db: AsyncConnection, connection: str, *, besides: str) -> int:
    could_run = jobs.c.state.in_(("running", "ready")) & ((jobs.c.state == "running") | (jobs.c.waiting == "null"))
    counted = (jobs.c.connection == connection) & (jobs.c.id != besides) & could_run
    return int((await db.execute(select(func.count()).select_from(jobs).where(counted))).scalar_one())


async def _allowed(db: AsyncConnection, connection: str) -> int:
    found: int | None = (
        await db.execute(select(connections.c.parallel).where(connections.c.id == connection))
    ).scalar()
    return found or LEAST
