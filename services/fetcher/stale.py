"""Say what a walk has left stale, and let the next one read all of a part again."""

from __future__ import annotations

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher.jobs.queries import Job
from services.fetcher.parts import of_lane
from services.fetcher.tables import parts, seen_cursors


async def is_stale(db: AsyncConnection, job: Job, part: str) -> bool:
    """Return False if the lane's newest walk has read the part completely."""
    row = (await db.execute(select(parts.c.outcome, parts.c.job_id).where(_is(part, job)))).first()
    if row is None or row.outcome != "done":
        return True
    # A walk that could not come to the part leaves its row as an earlier walk wrote it.
    newest = select(parts.c.job_id).where(of_lane(parts, job)).order_by(parts.c.position.desc())
    return bool((await db.execute(newest.limit(1))).scalar_one() != row.job_id)


async def begin_anew(db: AsyncConnection, job: Job, part: str) -> None:
    """Let walks read the part from its beginning, also the walk that waits in the middle of it."""
    place = {"cursor": None, "schema_digest": None, "empty_pages": 0, "begun_at": None}
    await db.execute(update(parts).where(_is(part, job)).values(place))
    mine = of_lane(seen_cursors, job) & (seen_cursors.c.part == part)
    await db.execute(delete(seen_cursors).where(mine))


async def oldest_read_again(db: AsyncConnection, job: Job) -> float | None:
    """Return the time of the oldest page of the job's walk that the next walk reads again.

    It reads no pages of a failed part again, but goes on from its place.
    """
    read_again = of_lane(parts, job) & (parts.c.job_id == job.id)
    read_again &= parts.c.outcome.in_(("done", "incomplete"))
    found: float | None = await db.scalar(select(func.min(parts.c.begun_at)).where(read_again))
    return found


def _is(part: str, job: Job) -> ColumnElement[bool]:
    return of_lane(parts, job) & (parts.c.id == part)
