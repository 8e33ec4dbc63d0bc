"""After the last page of a complete walk: what was not sighted in it is gone, and is deleted; then the receipt.

A run that would delete more than a fifth of the lane (and more than a hundred items) holds the deletions back until a
second run finds no more of them: an empty answer of a provider in trouble must not empty a customer's data.
"""

from __future__ import annotations

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher import jobs, seen, store
from services.fetcher.work import Slice, Tools
from shared.contracts import items
from shared.contracts.items import ItemRef
from shared.contracts.progress import Problem

FINISHING = {"$walk": "complete"}
"""Stands for a cursor when all pages are read and only deletions remain."""
HOLD_SHARE = 0.2
HOLD_COUNT = 100


async def finish(work: Slice, tools: Tools) -> None:
    """Delete the next chunk of what is gone, or close the job when nothing is left to delete."""
    job = work.job
    floor = job.first_version or 0
    async with tools.database.read() as db:
        gone = await seen.unsighted(db, job.connection, job.resource, below=floor)
        held = await _held(work, db, floor) if gone and job.receipt.deleted == 0 else None
    if job.receipt.dropped:
        await _close(work, tools, _dropped(job.receipt.dropped), held=None)
    elif held is not None:
        await _close(work, tools, _holding(held), held=held)
    elif gone:
        await _delete(work, tools, gone)
    else:
        await _close(work, tools, None, held=None)


async def _held(work: Slice, db: AsyncConnection, floor: int) -> int | None:
    job = work.job
    count = await seen.count(db, job.connection, job.resource, below=floor)
    total = await seen.count(db, job.connection, job.resource)
    if count <= HOLD_COUNT or count <= HOLD_SHARE * total:
        return None
    before = await store.held_deletions(db, job.connection, job.resource)
    return None if before is not None and count <= before else count


async def _delete(work: Slice, tools: Tools, gone: list[str]) -> None:
    job, at = work.job, work.next_version()
    job.positions = {**job.positions, **await send_deletions(work, tools, gone, version=at, reason="gone")}
    job.receipt = msgspec.structs.replace(job.receipt, deleted=job.receipt.deleted + len(gone))
    async with tools.write(job) as db:
        await seen.forget(db, job.connection, job.resource, gone)
        await jobs.go_on(db, job, pause=work.over or tools.stopping.is_set())


async def send_deletions(work: Slice, tools: Tools, ids: list[str], *, version: int, reason: str) -> dict[int, int]:
    """Send a tombstone per id; returns the positions they got."""
    job = work.job
    refs = [ItemRef(connection=job.connection, resource=job.resource, id=id_) for id_ in ids]
    return await tools.producer.send_all(
        [
            items.deletion(ref, org=work.source.org_id, generation=job.generation, version=version, reason=reason)
            for ref in refs
        ]
    )


async def _close(work: Slice, tools: Tools, problem: Problem | None, *, held: int | None) -> None:
    job = work.job
    job.state, job.error = ("done" if problem is None else "incomplete"), problem
    async with tools.write(job) as db:
        await store.hold_deletions(db, job.connection, job.resource, held)
        await store.lane_loaded(db, job.connection, job.resource, loaded=True)
        await jobs.save(db, job, "JobFinished")


def _dropped(count: int) -> Problem:
    return Problem(
        code="records_dropped",
        detail=f"{count} records could not be read and were kept as dead letters; the receipt says why.",
    )


def _holding(count: int) -> Problem:
    return Problem(
        code="deletions_held",
        detail=f"{count} items were not found this time. That is so many that they are only deleted when a second load "
        "agrees: load again to confirm.",
    )
