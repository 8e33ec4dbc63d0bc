"""Finish a complete walk: delete what it did not find, then close the job with its receipt.

A walk that would delete more than a fifth of the lane, and also more than a hundred items, holds
the deletions back until a second walk finds that no more items are missing than the first did. An
empty answer from a provider in trouble must not empty a customer's data.
"""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher import known_items, store
from services.fetcher.context import FetcherContext
from services.fetcher.jobs import transitions
from services.fetcher.run import JobRun, LaneRun
from shared.contracts import items
from shared.contracts.items import ItemRef
from shared.contracts.progress import JobError
from shared.contracts.vocabulary import TombstoneReason

FINISHING: Final = {"$walk": "complete"}
"""The cursor of a walk whose pages are all read and which only has deletions left."""
# Above both, deletions are held back. People do delete a hundred items at once, or half of ten.
HOLD_SHARE: Final = 0.2
HOLD_COUNT: Final = 100


async def finish(run: JobRun, context: FetcherContext) -> None:
    """Delete the next chunk of what is gone, or close the job when nothing is left to delete."""
    job = run.job
    floor = job.first_version or 0
    async with context.database.read() as db:
        gone = await known_items.not_seen_since(db, job.connection_id, job.resource, version=floor)
        # Only before the first deletion: those deleted no longer count, and a walk that began to
        # delete was allowed to.
        held = await _held(run, db, floor) if gone and job.receipt.deleted == 0 else None
    if job.receipt.dropped:
        await _close(run, context, _dropped(job.receipt.dropped), held=None)
    elif held is not None:
        await _close(run, context, _holding(held), held=held)
    elif gone:
        await _delete(run, context, gone)
    else:
        await _close(run, context, None, held=None)


async def _held(run: JobRun, db: AsyncConnection, floor: int) -> int | None:
    """Return how many deletions a second walk has to confirm, None when this one may delete."""
    job = run.job
    count = await known_items.count(db, job.connection_id, job.resource, before=floor)
    total = await known_items.count(db, job.connection_id, job.resource)
    if count <= HOLD_COUNT or count <= HOLD_SHARE * total:
        return None
    before = await store.held_deletions(db, job.connection_id, job.resource)
    return None if before is not None and count <= before else count


async def _delete(run: JobRun, context: FetcherContext, gone: list[str]) -> None:
    job, at = run.job, run.next_version()
    positions = await send_deletions(run, context, gone, version=at, reason="not_visible")
    job.item_positions = {**job.item_positions, **positions}
    job.receipt = msgspec.structs.replace(job.receipt, deleted=job.receipt.deleted + len(gone))
    async with context.database.write(lock=job.connection_id) as db:
        await known_items.forget(db, job.connection_id, job.resource, gone)
        await transitions.advance(db, job, end_run=run.ends)


async def send_deletions(
    run: LaneRun, context: FetcherContext, ids: list[str], *, version: int, reason: TombstoneReason
) -> dict[int, int]:
    """Send a tombstone for each id, and return the positions that they got."""
    job, org_id = run.job, run.source.org_id
    refs = [ItemRef(connection_id=job.connection_id, resource=job.resource, id=id_) for id_ in ids]
    return await context.producer.send_all(
        [
            items.deletion(
                ref, org_id=org_id, generation=job.generation, version=version, reason=reason
            )
            for ref in refs
        ]
    )


async def _close(
    run: JobRun, context: FetcherContext, error: JobError | None, *, held: int | None
) -> None:
    job = run.job
    async with context.database.write(lock=job.connection_id) as db:
        await store.hold_deletions(db, job.connection_id, job.resource, held)
        await store.lane_loaded(db, job.connection_id, job.resource, loaded=True)
        await transitions.finish(db, job, "done" if error is None else "incomplete", error)


def _dropped(count: int) -> JobError:
    return JobError(
        code="records_dropped",
        detail=(
            f"{count} records could not be read, so nothing was deleted. They are kept as dead "
            "letters, which say why."
        ),
    )


def _holding(count: int) -> JobError:
    return JobError(
        code="deletions_held",
        detail=(
            f"{count} items were not found this time. That is so many that they are deleted only "
            "when a second sync does not find them either. Sync again to confirm."
        ),
    )
