"""Finish a complete walk: delete what it did not find, then close the job with its receipt.

A walk that would delete more than a fifth of the lane, and also more than a hundred items, holds
the deletions back until a second walk finds that no more items are missing than the first did. An
empty answer from a provider in trouble must not empty a customer's data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher import known_items, parts, store
from services.fetcher.context import FetcherContext, JobRun, LaneRun
from services.fetcher.jobs import transitions
from services.fetcher.parts import WalkedPart
from shared.contracts import items
from shared.contracts.items import ItemRef
from shared.contracts.progress import SAID_IN_ERRORS, JobError, Outcome
from shared.contracts.vocabulary import TombstoneReason

FINISHING: Final = {"$walk": "complete"}
"""The cursor of a walk whose pages are all read and which only has deletions left."""
# Above both, deletions are held back. People do delete a hundred items at once, or half of ten.
HOLD_SHARE: Final = 0.2
HOLD_COUNT: Final = 100


async def finish(run: JobRun, context: FetcherContext) -> None:
    """Delete the next chunk of what is gone, or close the job when nothing is left to delete."""
    job = run.job
    async with context.database.read() as db:
        flawed = await parts.not_whole(db, job)
    if flawed:
        await _close_short(run, context, flawed)
    elif job.receipt.dropped:
        await _close(run, context, _dropped(job.receipt.dropped))
    else:
        await _delete_gone(run, context)


async def _delete_gone(run: JobRun, context: FetcherContext) -> None:
    job, floor = run.job, run.job.first_version or 0
    async with context.database.read() as db:
        went_on = await parts.floor(db, job) < floor
    if went_on:
        # This job has not seen what stands before the place of such a part now. The next walk
        # that sees everything deletes.
        await _close(run, context, None)
        return
    async with context.database.read() as db:
        gone = await known_items.not_seen_since(db, job.connection_id, job.resource, version=floor)
        # Only before the first deletion: those deleted no longer count, and a walk that began to
        # delete was allowed to.
        held = await _held(run, db, floor) if gone and job.receipt.deleted == 0 else None
    if held is not None:
        await _close(run, context, _holding(held), held=held)
    elif gone:
        await _delete(run, context, gone)
    else:
        await _close(run, context, None)


async def _close_short(run: JobRun, context: FetcherContext, flawed: list[WalkedPart]) -> None:
    """Close a job of which not every part was read whole: nothing is deleted."""
    async with context.database.read() as db:
        something = await parts.anything_read(db, run.job)
        total = (await parts.outcomes(db, run.job)).total
    error = short_of(flawed, total=total, something=something)
    await _close(run, context, error, outcome="incomplete" if something else "failed")


def short_of(flawed: Sequence[WalkedPart], *, total: int, something: bool) -> JobError:
    """Say which parts were not read whole, and why.

    No scope is missing where ``something`` was read.
    """
    errors = [part.error or parts.NOT_READ for part in flawed]
    first = errors[0]
    if total == 1:
        detail = f"{first.detail} {first.remedy}"
        return JobError(code=first.code, detail=detail, scope=first.scope)
    same = {(error.code, error.scope) for error in errors} == {(first.code, first.scope)}
    named = [_sentence(part) for part in flawed[:SAID_IN_ERRORS]]
    also = ["The receipt names the others."] if len(flawed) > SAID_IN_ERRORS else []
    count = f"{len(flawed)}" if len(flawed) < parts.MOST_NAMED else f"{parts.MOST_NAMED} or more"
    return JobError(
        code=first.code if same else "parts_not_read",
        detail=" ".join([f"{count} of {total} parts could not be read whole.", *named, *also]),
        scope=first.scope if same and not something else None,
    )


def _sentence(part: WalkedPart) -> str:
    error = part.error or parts.NOT_READ
    name = part.name[:1].upper() + part.name[1:]
    return f"{name}: {error.detail} {error.remedy}".rstrip()


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
    run: JobRun,
    context: FetcherContext,
    error: JobError | None,
    *,
    held: int | None = None,
    outcome: Outcome = "incomplete",
) -> None:
    job = run.job
    async with context.database.write(lock=job.connection_id) as db:
        ended = await parts.outcomes(db, job)
        job.receipt = msgspec.structs.replace(job.receipt, parts=ended)
        if not ended.named:
            await store.hold_deletions(db, job.connection_id, job.resource, held)
            floor = await parts.floor(db, job)
            await known_items.forget_dropped(db, job.connection_id, job.resource, before=floor)
            await parts.forget_others(db, job)
        if outcome != "failed":
            await store.lane_loaded(db, job.connection_id, job.resource, loaded=True)
        await transitions.finish(db, job, "done" if error is None else outcome, error)


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
