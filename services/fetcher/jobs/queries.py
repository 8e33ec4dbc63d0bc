"""Jobs as they are."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher.job import Job, State, from_row
from services.fetcher.tables import jobs


async def get(db: AsyncConnection, job_id: str) -> Job | None:
    row = (await db.execute(select(jobs).where(jobs.c.id == job_id))).mappings().first()
    return None if row is None else from_row(dict(row))


async def unfinished(db: AsyncConnection, connection_id: str, resource: str | None = None) -> list[Job]:
    """Return the jobs of a connection, or of one of its lanes, that are not over; oldest first."""
    mine = jobs.c.connection_id == connection_id
    if resource is not None:
        mine &= jobs.c.resource == resource
    return await find(db, mine, jobs.c.state != "over")


async def has_earlier_purge(db: AsyncConnection, job: Job) -> bool:
    """Return whether what a former generation left is still to be deleted.

    That comes before this generation loads: later it would delete what was loaded.
    """
    others = await unfinished(db, job.connection_id, job.resource)
    return any(other.kind == "purge" and other.generation < job.generation for other in others)


async def in_state(db: AsyncConnection, state: State, *, unchanged_since: float | None = None) -> list[Job]:
    before = [] if unchanged_since is None else [jobs.c.changed_at < unchanged_since]
    return await find(db, jobs.c.state == state, *before)


async def find(db: AsyncConnection, *where: Any) -> list[Job]:
    rows = await db.execute(select(jobs).where(*where).order_by(jobs.c.id))
    return [from_row(dict(row)) for row in rows.mappings()]
