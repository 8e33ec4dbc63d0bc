"""Walk a lane part by part: read a page, send it, then save page, part and job in one transaction.

A part that fails never stops another. It is set aside until its next try, or it ends with an error
that the receipt reports.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher import emit, known_items, parts, store, unconfirmed
from services.fetcher.context import FetcherContext, JobRun
from services.fetcher.emit import SORTED, Emission, send_dead_letters
from services.fetcher.finish import FINISHING
from services.fetcher.jobs import queries, transitions
from services.fetcher.jobs.queries import Job
from services.fetcher.known_items import LaneDigest
from services.fetcher.parts import PartError, WalkedPart
from services.fetcher.patience import hold_back
from shared import clock
from shared.connector import (
    LONGEST_CURSOR,
    Gone,
    Interruption,
    Page,
    PartSchema,
    Place,
    Reject,
    Restart,
)
from shared.contracts.envelope import timestamp
from shared.contracts.progress import MOST_LEFT_OUT, JobError
from shared.failpoints import failpoint

WALKING: Final = {"$walk": "parts"}
"""The cursor of a load while its parts are read. Each part keeps its own place in its row."""
ASKED_PAGES: Final = 10
"""Pages after which we stop asking for a count that the provider does not give."""
GROWS_AFTER: Final = 10
"""Pages after which a part whose pages were made smaller asks for twice as many records again."""
SCHEMA_S: Final = 600.0
"""Seconds after which a part that was left alone reads its schema again before it goes on."""

log = structlog.get_logger()


async def begin(run: JobRun, context: FetcherContext) -> None:
    """Save the parts with which the walk begins."""
    job, at = run.job, run.next_version()
    job.cursor = WALKING
    async with context.database.write(lock=job.connection_id) as db:
        await parts.name(
            db,
            job,
            run.connector.parts(job.resource),
            provider=run.runtime.provider,
            version=at,
        )
        # No page has been read yet, so the run cannot end here.
        await transitions.advance(db, job, end_run=False, told=False)


async def step(run: JobRun, context: FetcherContext) -> None:
    """Read the next page; when no part is due, wait for one or finish the walk."""
    if run.part is None:
        async with context.database.read() as db:
            run.part = await parts.due(db, run.job)
    if run.part is None:
        await _nothing_due(run, context)
    else:
        await _page(run, context, run.part)


async def hand_on(db: AsyncConnection, run: JobRun) -> None:
    """Save the job after one of its parts was set aside or ended without a page."""
    if await parts.due(db, run.job) is not None:
        await transitions.advance(db, run.job, end_run=run.ends, told=False)
    else:
        await wait_or_finish(db, run)


async def wait_or_finish(db: AsyncConnection, run: JobRun, *, least_s: float = 0.0) -> None:
    """Let the job wait for its parts, try the refused ones once more, or finish.

    ``least_s`` is set when several have failed in a row: those that are due wait with them.
    """
    job, run.failed = run.job, 0
    waiting = await parts.first_to_wait_for(db, job)
    if waiting is not None:
        error = waiting.error or parts.NOT_READ
        seconds = max(least_s, waiting.next_try_at - clock.now())
        if least_s:
            await hold_back(db, job, seconds)
        await transitions.defer(
            db,
            job,
            seconds=seconds,
            reason=error.detail,
            code=error.code,
            not_before=waiting.not_before,
        )
        return
    if await parts.due(db, job) is None and not await parts.reopen_refused(db, job):
        job.cursor = FINISHING
    await transitions.advance(db, job, end_run=run.ends, told=False)


async def _nothing_due(run: JobRun, context: FetcherContext) -> None:
    async with context.database.write(lock=run.job.connection_id) as db:
        await wait_or_finish(db, run)


async def _page(run: JobRun, context: FetcherContext, part: WalkedPart) -> None:
    job, at = run.job, run.next_version()
    failpoint("before_fetch")
    page = await _read(run, context, part)
    failpoint("after_page")
    async with context.database.write(lock=job.connection_id) as db:
        before = await emit.known_before(db, job, page.records)
        emitted = emit.emission(run, page, version=at, before=before)
        lane = await queries.record_pending(db, job, emitted.sent) if emitted.sent else None
        letters = await known_items.without_letter(
            db, job.connection_id, job.resource, page.rejected
        )
    failpoint("after_record_pending")
    if letters:
        await send_dead_letters(run, context, letters)
    positions = await context.producer.send_all(emitted.messages)
    failpoint("after_items")
    job.item_positions = {**job.item_positions, **positions}
    await _checkpoint(run, context, part, page, emitted, lane=lane)
    failpoint("after_checkpoint")


async def _read(run: JobRun, context: FetcherContext, part: WalkedPart) -> Page:
    job = run.job
    place = Place(
        part=part.part,
        cursor=part.cursor,
        size=part.page_size,
        schema=await _schema(run, context, part),
    )
    if job.expected is not None or job.receipt.reconciled is False or job.pages >= ASKED_PAGES:
        return await run.connector.page(run.call, job.resource, place)
    counting = asyncio.create_task(_counted(run))
    try:
        page = await run.connector.page(run.call, job.resource, place)
        job.expected = await counting
    finally:
        # Otherwise it would keep asking the provider after the page was told to wait.
        counting.cancel()
        await asyncio.wait([counting])
    return page


async def _schema(run: JobRun, context: FetcherContext, part: WalkedPart) -> PartSchema | None:
    """Return the schema of a part's pages.

    Raises:
        Restart: the schema changed while the part was left alone.
    """
    key, job = part.schema_key, run.job
    if key is None:
        return None
    left_alone = part.read_at is not None and clock.now() - part.read_at > SCHEMA_S
    if left_alone:
        context.schemas.forget(job.id, key)
    kept = context.schemas.get(job.id, key)
    if kept is None:
        schema = await run.connector.schema(run.call, job.resource, part.part)
        context.schemas.keep(job.id, {key: schema})
        kept = context.schemas.get(job.id, key)
        if run.remember(key, schema):
            async with context.database.write(lock=job.connection_id) as db:
                await store.remember_schema(db, job.connection_id, job.resource, key, run.last[key])
    if kept is None:
        return None
    if left_alone and part.cursor is not None and part.schema_digest not in {None, kept.digest}:
        part.read_at = clock.now()
        raise Restart("Fields were added, renamed or removed meanwhile.", code="schema_changed")
    part.schema_digest = kept.digest
    if run.leaves_out and key not in run.named:
        # Once a run: whatever becomes of a page, the next run names them again.
        run.named.add(key)
        _name_left_out(job, run.leaves_out.left_out(kept.schema))
    return kept.schema


def _name_left_out(job: Job, names: Sequence[str]) -> None:
    """Put the names of the fields that this part's pages leave out into the receipt."""
    told = job.receipt
    named = sorted({*(told.left_out or ()), *names})
    job.receipt = msgspec.structs.replace(
        told,
        left_out=tuple(named[:MOST_LEFT_OUT]),
        # Exact if one part has them all, or if there are few. Else it may be less: names beyond the
        # first hundred are not kept, as the receipt is saved with every page.
        left_out_total=max(told.left_out_total or 0, len(named)),
    )


async def _counted(run: JobRun) -> int | None:
    """Return how many objects the provider counts, or None when it gives no count or fails to.

    The receipt says why a count could not be had. If it was refused, nothing will be reconciled.
    """
    job, reason, reconciled, count = run.job, None, None, None
    try:
        count = await run.connector.count(run.call, job.resource)
    except Interruption as error:
        log.info("expected_unknown", job_id=job.id, reason=error.code)
        reason = f"{run.runtime.provider.name}'s count could not be had: {error.reason}"
        reconciled = False if isinstance(error, Reject) else None
    job.receipt = msgspec.structs.replace(
        job.receipt, reconciled=reconciled, unreconciled_reason=reason
    )
    return count


async def _checkpoint(
    run: JobRun,
    context: FetcherContext,
    part: WalkedPart,
    page: Page,
    emitted: Emission,
    *,
    lane: LaneDigest | None,
) -> None:
    job = run.job
    _count(job, part, page, emitted)
    if part.pages % GROWS_AFTER == 0:
        part.page_size = min(run.runtime.provider.page_size, part.page_size * 2)
    context.schemas.keep(job.id, page.schemas)
    async with context.database.write(lock=job.connection_id) as db:
        await emit.record(db, job, emitted, lane=lane)
        if page.rejected:
            await known_items.record_dropped(
                db, job.connection_id, job.resource, page.rejected, version=run.version
            )
        merged = _merged(page)
        if merged:
            await unconfirmed.add_merged(db, job, merged)
        further = emitted.new > 0
        if page.parts:
            further |= await parts.name(
                db,
                job,
                page.parts,
                provider=run.runtime.provider,
                version=run.version,
                found_in=part.id,
            )
        _renew_patience(part, further=further)
        await _move_on(db, part, page, most_empty=context.most_empty)
        await parts.save(db, part)
        if await _limited(db, job, context.max_pages):
            await transitions.finish(db, job, "incomplete", _limit_reached(job.pages))
        else:
            await transitions.advance(db, job, end_run=run.ends, told=run.worth_telling())
    run.failed = 0
    if part.outcome is not None:
        run.part = None


def _merged(page: Page) -> list[Gone]:
    """Return the objects that were merged into one of the page's records."""
    return [
        Gone(id=id_, reason="merged", merged_into=record.id)
        for record in page.records
        for id_ in record.replaces
    ]


def _count(job: Job, part: WalkedPart, page: Page, emitted: Emission) -> None:
    for one in (job, part):
        one.pages += 1
        one.items += emitted.new
    job.attempts, job.failing_since = 0, None
    job.receipt, job.pending_ids = emitted.receipt, ()
    if job.expected is not None:
        younger = (job.receipt.created_meanwhile or 0) + _created_meanwhile(job, page)
        job.receipt = msgspec.structs.replace(job.receipt, created_meanwhile=younger)
    now = clock.now()
    part.read_at, part.error, part.next_try_at, part.not_before = now, None, 0.0, None
    part.begun_at = part.begun_at or now
    part.empty_pages = 0 if page.records or page.rejected or page.parts else part.empty_pages + 1


def _renew_patience(part: WalkedPart, *, further: bool) -> None:
    if further:
        part.restarts = 0
    if part.restarts <= 1:
        part.failing_since = None
    else:
        # It got here before, and then its cursor was refused again and again.
        part.next_try_at = clock.now()


def _created_meanwhile(job: Job, page: Page) -> int:
    """Return how many of the page's records are younger than the walk.

    They must not make up for others that were counted and not read.
    """
    began = timestamp(job.started_at)
    times = [record.created_at for record in page.records]
    return sum(at is not None and at > began for at in times)


async def _move_on(db: AsyncConnection, part: WalkedPart, page: Page, *, most_empty: int) -> None:
    """Set the part's next place, or end it."""
    part.cursor = page.cursor
    if page.cursor is None:
        await parts.forget_cursors(db, part)
        if page.missing is None:
            part.end("done")
        else:
            remedy = "The provider offers no way to read the rest."
            detail = page.missing[: parts.LONGEST_DETAIL]
            part.end("incomplete", PartError(code="cut_off", detail=detail, remedy=remedy))
        return
    encoded = SORTED.encode(page.cursor)
    if len(encoded) > LONGEST_CURSOR:
        part.end("failed", _odd("cursor_too_large", "a cursor that is too large to keep"))
    elif part.empty_pages >= most_empty:
        sent = f"{most_empty} empty pages in a row and says that there are more"
        part.end("incomplete", _odd("empty_pages", sent))
    elif not await parts.is_new_cursor(db, part, blake2b(encoded, digest_size=16).digest()):
        part.end("failed", _odd("cursor_loop", "the same cursor twice: the walk would never end"))
    else:
        return
    part.tried_again = True
    part.begin_anew()
    await parts.forget_cursors(db, part)


def _odd(code: str, sent: str) -> PartError:
    return PartError(
        code=code,
        detail=f"The provider sent {sent}.",
        remedy="Sync again. If it happens again, report it to us with the log.",
    )


async def _limited(db: AsyncConnection, job: Job, max_pages: int | None) -> bool:
    """Return True when the page limit is reached and there is more to read."""
    if max_pages is None or job.pages < max_pages:
        return False
    return await parts.anything_left(db, job)


def _limit_reached(limit: int) -> JobError:
    return JobError(
        code="max_pages",
        detail=(
            f"Stopped after {limit} pages, the limit set by TRIBUTARY_MAX_PAGES. "
            "There may be more: raise the limit to read it."
        ),
    )
