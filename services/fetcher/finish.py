"""Finish a walk: ask by id for some of what it did not find, complete some items, close the job.

Whatever is still in the two queues then is asked for in the background: it neither keeps the sync
open nor makes it incomplete. If the provider counts more objects than were read, ``reconcile``
looks for them before the job is closed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher import (
    confirm,
    known_items,
    parts,
    stale,
    store,
    truncated,
    unconfirmed,
    unreached,
)
from services.fetcher.complete import complete_some
from services.fetcher.context import FetcherContext, JobRun
from services.fetcher.jobs import queries, transitions
from services.fetcher.jobs.queries import Job, new_job
from services.fetcher.parts import WalkedPart
from shared import clock
from shared.connector import Cursor, Interruption
from shared.contracts.envelope import timestamp
from shared.contracts.progress import SAID_IN_ERRORS, HeldDeletions, JobError, Outcome

FINISHING: Final = {"$walk": "complete"}
"""The cursor of a walk whose pages are all read, before what it did not find is queued."""
STAGE: Final = "reconcile"
"""The key of that cursor under which ``reconcile`` keeps how far it is."""
OLD_S: Final = 3600.0
"""A walk whose oldest page is older is followed by another in the background: what changed at the
provider since that page was read is missing."""
MOST_ASKED: Final = 200
"""The most ids that a load asks for itself: people expect to see a day's few deletions when it
ends."""
MOST_COMPLETED: Final = 50
"""The most steps that a load takes to complete truncated items: small accounts are whole at once.
"""

log = structlog.get_logger()


async def finish(run: JobRun, context: FetcherContext) -> None:
    """Take the next step: queue what was not found, ask for some of it, complete, close the job."""
    job = run.job
    asked = (job.cursor or {}).get("asked")
    if asked is None:
        await _queue(run, context)
    elif asked < MOST_ASKED and await _asked_some(run, context, asked):
        return
    elif not (
        await confirm.delete_some(run, context, end_run=run.ends)
        or await _completed_some(run, context)
    ):
        async with context.database.write(lock=job.connection_id) as db:
            await _close_or_reconcile(db, run)


async def _queue(run: JobRun, context: FetcherContext) -> None:
    job = run.job
    async with context.database.write(lock=job.connection_id) as db:
        flawed = await parts.not_whole(db, job)
        await unconfirmed.add_missing(db, job, whole=not flawed)
        left = await unconfirmed.count(db, job)
        if run.completes:
            await truncated.forget_obsolete(db, job)
            left += await truncated.count(db, job)
        if left:
            job.cursor = {**FINISHING, "asked": 0}
            await transitions.advance(db, job, end_run=False, told=False)
        else:
            await _close_or_reconcile(db, run)


async def _asked_some(run: JobRun, context: FetcherContext, asked: int) -> bool:
    """Ask for some of what was not found; return False when this job should stop asking."""
    job = run.job
    job.cursor = {**FINISHING, "asked": asked + confirm.CHUNK}
    try:
        before = job.started_at or 0.0
        more = await confirm.ask_some(run, context, asked_before=before, end_run=run.ends)
    except Interruption as error:
        # The background asks again, so this does not keep the sync open.
        log.info("confirmation_interrupted", job_id=job.id, reason=error.reason)
        more = False
    if not more:
        job.cursor = {**FINISHING, "asked": MOST_ASKED}
    return more


async def _completed_some(run: JobRun, context: FetcherContext) -> bool:
    """Take a step to complete an item; return False when this job should take no more."""
    job = run.job
    cursor = job.cursor or {}
    taken = cursor.get("completed", 0)
    if taken >= MOST_COMPLETED:
        return False
    job.cursor = {**cursor, "completed": taken + 1}
    try:
        return await complete_some(run, context, end_run=run.ends)
    except Interruption as error:
        log.info("confirmation_interrupted", job_id=job.id, reason=error.reason)
        return False


async def _close_or_reconcile(db: AsyncConnection, run: JobRun) -> None:
    """Close the job, unless it has to be found out first what the provider has counted."""
    job = run.job
    if await _is_compared(db, run):
        await close(db, run)
    else:
        job.cursor = {**FINISHING, STAGE: {"since": clock.now()}}
        await transitions.advance(db, job, end_run=False, told=False)


async def _is_compared(db: AsyncConnection, run: JobRun) -> bool:
    """Compare what was read with the provider's count; return False if that takes more calls."""
    job, told = run.job, run.job.receipt
    counts = job.expected is not None or told.unreconciled_reason is not None
    if not counts or told.reconciled is False:
        return True
    reconciled, reason = None, None
    if await parts.not_whole(db, job):
        name = run.runtime.provider.name
        reconciled, reason = False, f"Not all could be read, so {name}'s count says nothing."
    elif job.expected is not None and await covers(db, job, job.expected):
        reconciled = True
    job.receipt = msgspec.structs.replace(
        told, counted_before=job.expected, reconciled=reconciled, unreconciled_reason=reason
    )
    return reconciled is not None


async def covers(db: AsyncConnection, job: Job, counted: int) -> bool:
    """Return True if so many were read that nothing of what was counted can be missing.

    If the walk went on from an earlier one, their number does not tell: what that one had read may
    have been archived since.
    """
    if await parts.floor(db, job) < (job.first_version or 0):
        return False
    return await read_of_counted(db, job) >= counted


async def read_of_counted(db: AsyncConnection, job: Job) -> int:
    """Return how many objects were read, leaving out those younger than the walk.

    They may not have been counted, so they must not make up for others that were.
    """
    floor = await parts.floor(db, job)
    read = await known_items.seen_since(db, job.connection_id, job.resource, version=floor)
    return read - (job.receipt.created_meanwhile or 0)


async def close(db: AsyncConnection, run: JobRun, error: JobError | None = None) -> None:
    """Close the job: it is complete if all of its parts are, unless ``error`` says otherwise."""
    job = run.job
    flawed = await parts.not_whole(db, job)
    failed = bool(flawed) and not await parts.anything_read(db, job)
    ended, left = await parts.outcomes(db, job), await unconfirmed.count(db, job)
    held = await _held(db, job) if left else ()
    begun_at = await parts.oldest_page_at(db, job)
    as_of = None if begun_at is None else timestamp(begun_at)
    job.receipt = msgspec.structs.replace(
        job.receipt,
        parts=ended,
        unconfirmed=left,
        held=held,
        truncated=await truncated.count(db, job) if run.completes else 0,
        as_of=as_of,
    )
    if error is None and job.receipt.dropped:
        error = _dropped(job.receipt.dropped)
    if flawed:
        ended = await unreached.with_unreached(db, job, ended)
        job.receipt = msgspec.structs.replace(job.receipt, parts=ended)
        error = short_of(flawed, total=ended.total, something=not failed)
    else:
        floor = await parts.floor(db, job)
        await known_items.forget_dropped(db, job.connection_id, job.resource, before=floor)
        await parts.forget_others(db, job)
    if not failed:
        await store.lane_loaded(db, job.connection_id, job.resource, loaded=True, begun_at=begun_at)
    await _ask_later(db, job, unconfirmed=left)
    await transitions.finish(db, job, _outcome(error, failed=failed), error)
    if not failed:
        await _follow_up(db, job, whole=not flawed)


async def _ask_later(db: AsyncConnection, job: Job, *, unconfirmed: int) -> None:
    """Set when the background goes on, if something is left that may be confirmed or completed."""
    at = clock.now() if unconfirmed else None
    if at is None and job.receipt.truncated:
        at = await truncated.next_try_at(db, job)
    await store.confirm_at(db, job.connection_id, job.resource, at)


async def _follow_up(db: AsyncConnection, job: Job, *, whole: bool) -> None:
    """Create a background load of the lane if a page is old, unless ``job`` is one itself.

    Otherwise an account that takes longer than ``OLD_S``, or of which a part is refused for good,
    would be read without end.
    """
    oldest = await (parts.oldest_page_at if whole else stale.oldest_read_again)(db, job)
    old = oldest is not None and clock.now() - oldest > OLD_S
    if old and await queries.has_sync(db, job):
        again = new_job(job.connection_id, job.resource, job.generation, background=True)
        await transitions.create(db, again)


async def _held(db: AsyncConnection, job: Job) -> tuple[HeldDeletions, ...]:
    counts = dict(await unconfirmed.held(db, job))
    names = await parts.names(db, job, counts)
    named = sorted(counts.items())[: parts.MOST_NAMED]
    return tuple(
        HeldDeletions(part=part, name=names.get(part, part), items=items) for part, items in named
    )


def _outcome(error: JobError | None, *, failed: bool) -> Outcome:
    if error is None:
        return "done"
    return "failed" if failed else "incomplete"


def is_finishing(cursor: Cursor | None) -> bool:
    return cursor is not None and cursor.get("$walk") == FINISHING["$walk"]


def short_of(flawed: Sequence[WalkedPart], *, total: int, something: bool) -> JobError:
    """Say which parts could not be read completely, and why.

    If ``something`` was read, no scope is named as missing.
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


def _dropped(count: int) -> JobError:
    return JobError(
        code="records_dropped",
        detail=(
            f"{count} records could not be read. They are kept as dead letters, which say why."
        ),
    )
