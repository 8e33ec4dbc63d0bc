"""Find the parts of earlier walks that this walk did not come to: gone, or only out of reach."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher.jobs.queries import Job
from services.fetcher.parts import MOST_NAMED, of_lane
from services.fetcher.tables import parts
from shared.contracts.envelope import timestamp
from shared.contracts.progress import PartOutcome, Parts


async def no_longer_named(db: AsyncConnection, job: Job) -> list[str]:
    """Return the parts that this walk no longer names, although it read what used to name them.

    If that, too, is gone, what used to name it counts, and so on up to the parts with which a walk
    begins: all those of this walk must then be complete.
    """
    return [row.id for row, named in await _met_earlier(db, job) if not named]


async def with_unreached(db: AsyncConnection, job: Job, ended: Parts) -> Parts:
    """Return the outcomes with the parts named that this walk could not come to."""
    found = [row for row, named in await _met_earlier(db, job) if named and not row.lists]
    unreached = tuple(_not_reached(row) for row in found[:MOST_NAMED])
    return msgspec.structs.replace(ended, unreached=unreached, unreached_total=len(found))


def _not_reached(row: Row[Any]) -> PartOutcome:
    since = row.read_at if row.outcome == "done" else row.stale_since
    return PartOutcome(
        part=row.id,
        name=row.name,
        outcome="failed",
        code="not_reached",
        detail="What names it could not be read.",
        remedy="It is read again as soon as that can be read.",
        stale_since=None if since is None else timestamp(since),
    )


async def _met_earlier(db: AsyncConnection, job: Job) -> list[tuple[Row[Any], bool]]:
    """Return the parts that only earlier walks met, each with whether it may still be named."""
    columns = [column for column in parts.columns if column.name not in {"cursor", "error"}]
    query = select(*columns).where(of_lane(parts, job)).order_by(parts.c.position, parts.c.id)
    rows = {row.id: row for row in await db.execute(query)}
    of_walk = {id_: row for id_, row in rows.items() if row.job_id == job.id}
    roots = all(row.outcome == "done" for row in of_walk.values() if row.found_in is None)
    found = []
    for id_, row in rows.items():
        if row.job_id == job.id:
            continue
        at, passed = row.found_in, {id_}
        while at in rows and at not in of_walk and at not in passed:
            passed.add(at)
            at = rows[at].found_in
        read_whole = of_walk[at].outcome == "done" if at in of_walk else roots
        found.append((row, not read_whole))
    return found
