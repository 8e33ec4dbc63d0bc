"""Run a claimed job page by page: read, send, then save all of the page in one transaction.

A run ends when its time is over, at the end of the walk, or at an interruption. In each case the
job's row says what is next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher import known_items, store
from services.fetcher.context import FetcherContext
from services.fetcher.emit import SORTED, Emission, emission, send_dead_letters
from services.fetcher.finish import FINISHING, finish
from services.fetcher.interrupt import interrupted
from services.fetcher.jobs import queries, transitions
from services.fetcher.jobs.queries import Job
from services.fetcher.metrics import ITEM_OUTCOMES, ITEMS, PAGES
from services.fetcher.purge import purge
from services.fetcher.refetch import refetch
from services.fetcher.run import JobRun, open_lane_run, open_run
from shared.connector import Interruption, Page
from shared.contracts.connections import Connection
from shared.contracts.items import version
from shared.contracts.progress import JobError, Receipt
from shared.failpoints import failpoint

ASKED_PAGES: Final = 10
"""The number of pages for which a provider that did not tell its count is asked again."""

log = structlog.get_logger()


async def load(job: Job, context: FetcherContext) -> None:
    """Run a job that this worker has claimed, whatever its kind.

    Raises:
        LostClaimError: somebody else has the job now, and nothing was written.
    """
    async with context.database.read() as db:
        source = await store.connection(db, job.connection_id)
    if source is None:
        raise LookupError(f"job {job.id} belongs to the unknown connection {job.connection_id}")
    if job.first_version is None:
        job.first_version = version(job.epoch, 0)
    if job.kind == "purge":
        await _purge(job, source, context)
    elif source.provider in context.runtimes:
        await _read_pages(job, source, context)
    else:
        log.warning("provider_unknown", connection_id=source.id, provider=source.provider)
        async with context.database.write(lock=source.id) as db:
            await transitions.finish(db, job, "failed", transitions.PROVIDER_UNKNOWN)


async def _purge(job: Job, source: Connection, context: FetcherContext) -> None:
    run = open_lane_run(job, source, context)
    while job.state == "running":
        pages, receipt = job.pages, job.receipt
        await purge(run, context)
        _count_recorded(source.provider, job, pages=pages, receipt=receipt)


async def _read_pages(job: Job, source: Connection, context: FetcherContext) -> None:
    run = open_run(job, source, context)
    while job.state == "running":
        pages, receipt = job.pages, job.receipt
        try:
            await _step(job)(run, context)
            _count_recorded(source.provider, job, pages=pages, receipt=receipt)
        except Interruption as error:
            await interrupted(run, context, error)


def _step(job: Job) -> Callable[[JobRun, FetcherContext], Awaitable[None]]:
    if job.kind == "refetch":
        return refetch
    return finish if job.cursor == FINISHING else _page


async def _page(run: JobRun, context: FetcherContext) -> None:
    job, at = run.job, run.next_version()
    failpoint("before_fetch")
    page = await _read(run)
    failpoint("after_page")
    async with context.database.write(lock=job.connection_id) as db:
        known = await known_items.known(
            db, job.connection_id, job.resource, [record.id for record in page.records]
        )
        emitted = emission(run, page, version=at, known=known)
        if emitted.sent:
            await queries.record_pending(db, job, emitted.sent)
    failpoint("after_record_pending")
    if page.rejected:
        await send_dead_letters(run, context, page)
    positions = await context.producer.send_all(emitted.messages)
    failpoint("after_items")
    await _checkpoint(run, context, page, emitted, positions)
    failpoint("after_checkpoint")


async def _read(run: JobRun) -> Page:
    job = run.job
    if job.expected is not None or job.pages >= ASKED_PAGES:
        return await run.connector.page(run.call, job.resource, job.cursor)
    counting = asyncio.create_task(_expected(run))
    try:
        page = await run.connector.page(run.call, job.resource, job.cursor)
        job.expected = await counting
    finally:
        # Otherwise it would go on asking the provider after the page was told to wait.
        counting.cancel()
        await asyncio.wait([counting])
    return page


async def _expected(run: JobRun) -> int | None:
    """Return the provider's count of the records, None when it does not answer."""
    try:
        return await run.connector.expected(run.call, run.job.resource)
    except Interruption as error:
        log.info("expected_unknown", job_id=run.job.id, reason=error.code)
        return None


async def _checkpoint(
    run: JobRun, context: FetcherContext, page: Page, emitted: Emission, positions: dict[int, int]
) -> None:
    job = run.job
    _count(job, page, emitted, positions)
    async with context.database.write(lock=job.connection_id) as db:
        await known_items.record(db, job.connection_id, job.resource, emitted.known)
        error = _stuck(run, page) or await _looping(db, job)
        if error is not None:
            await transitions.finish(db, job, "failed", error)
        elif (
            job.cursor != FINISHING
            and context.max_pages is not None
            and job.pages >= context.max_pages
        ):
            await transitions.finish(db, job, "incomplete", _limit_reached(context.max_pages))
        else:
            await transitions.advance(db, job, end_run=run.ends, told=run.worth_telling())


def _count(job: Job, page: Page, emitted: Emission, positions: dict[int, int]) -> None:
    job.pages += 1
    job.items += emitted.new
    job.receipt = emitted.receipt
    job.item_positions = {**job.item_positions, **positions}
    job.attempts, job.pending_ids = 0, ()
    empty_before = job.empty_pages if page.part == job.part else 0
    job.empty_pages = 0 if page.records or page.rejected else empty_before + 1
    job.part = page.part
    job.cursor = page.cursor if page.cursor is not None else FINISHING


def _stuck(run: JobRun, page: Page) -> JobError | None:
    limit = run.runtime.provider.max_empty_pages
    if run.job.cursor == FINISHING or run.job.empty_pages <= limit or page.records:
        return None
    name = run.runtime.provider.name
    detail = (
        f"{name} sent {run.job.empty_pages} empty pages in a row and says that there are more, "
        "so the walk was stopped. Sync again."
    )
    return JobError(code="cursor_loop", detail=detail)


async def _looping(db: AsyncConnection, job: Job) -> JobError | None:
    if job.cursor == FINISHING:
        return None
    digest = blake2b(SORTED.encode(job.cursor), digest_size=16).digest()
    if await store.is_new_cursor(db, job.id, digest):
        return None
    return JobError(
        code="cursor_loop",
        detail="The provider sent the same cursor twice, so the walk would never end. Sync again.",
    )


def _limit_reached(limit: int) -> JobError:
    return JobError(
        code="max_pages",
        detail=(
            f"Stopped after {limit} pages, the limit set by TRIBUTARY_MAX_PAGES. "
            "There may be more: raise the limit to read it."
        ),
    )


def _count_recorded(provider: str, job: Job, *, pages: int, receipt: Receipt) -> None:
    """Count what a committed page has added to ``job``."""
    now = job.receipt
    more = (
        now.emitted - receipt.emitted,
        now.unchanged - receipt.unchanged,
        now.deleted - receipt.deleted,
    )
    PAGES.add(provider, by=job.pages - pages)
    for outcome, count in zip(ITEM_OUTCOMES, (*more, now.dropped - receipt.dropped), strict=True):
        ITEMS.add(provider, outcome, by=count)
