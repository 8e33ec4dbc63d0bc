"""Load a claimed job page by page: read, send, then one transaction for all that is known of the page.

Ends at the slice's time, at the end of the walk, or at an interruption; in each case the job's row says what is next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from hashlib import blake2b

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher import jobs, seen, store
from services.fetcher.emit import SORTED, Emission, emission
from services.fetcher.finish import FINISHING, finish
from services.fetcher.interrupt import interrupted
from services.fetcher.job import Job
from services.fetcher.letters import send_dead_letters
from services.fetcher.metrics import recorded
from services.fetcher.purge import purge
from services.fetcher.read import read_again
from services.fetcher.work import Slice, Tools, open_slice
from shared.connector import Interruption, Page
from shared.contracts.items import version
from shared.contracts.progress import Problem
from shared.failpoints import failpoint

SLICE_S = 5.0
ASKED_PAGES = 10
"""For how many pages the provider is asked for its count again, when it did not answer."""

log = structlog.get_logger()


async def load(job: Job, tools: Tools) -> None:
    """Run one slice of a job that this worker has claimed, whatever its kind.

    Raises:
        LostClaimError: someone else has the job now; nothing was written.
    """
    async with tools.database.read() as db:
        source = await store.connection(db, job.connection)
    if source is None:
        raise LookupError(f"job {job.id} is of a connection that is not known: {job.connection}")
    work = open_slice(job, source, tools, seconds=SLICE_S)
    if job.first_version is None:
        job.first_version = version(job.epoch, 0)
    while job.state == "running":
        pages, receipt = job.pages, job.receipt
        try:
            await _step(job)(work, tools)
            recorded(source.provider, job, pages=pages, receipt=receipt)
        except Interruption as error:
            await interrupted(work, tools, error)


def _step(job: Job) -> Callable[[Slice, Tools], Awaitable[None]]:
    match job.kind:
        case "purge":
            return purge
        case "read":
            return read_again
        case "load":
            return finish if job.cursor == FINISHING else _page


async def _page(work: Slice, tools: Tools) -> None:
    job, at = work.job, work.next_version()
    failpoint("before_fetch")
    page = await _read(work)
    failpoint("after_page")
    async with tools.write(job) as db:
        known = await seen.known(db, job.connection, job.resource, [record.id for record in page.records])
        emitted = emission(job, work.source, page, version=at, known=known)
        if emitted.sent:
            await jobs.intend(db, job, emitted.sent)
    failpoint("after_record_pending")
    await send_dead_letters(work, tools, page)
    positions = await tools.producer.send_all(emitted.messages)
    failpoint("after_items")
    await _checkpoint(work, tools, page, emitted, positions)
    failpoint("after_checkpoint")


async def _read(work: Slice) -> Page:
    job = work.job
    if job.expected is not None or job.pages >= ASKED_PAGES:
        return await work.connector.page(work.call, job.resource, job.cursor)
    counting = asyncio.create_task(_expected(work))
    try:
        page = await work.connector.page(work.call, job.resource, job.cursor)
        job.expected = await counting
    finally:
        # Left alone it would go on asking the provider after the page was told to wait.
        counting.cancel()
        await asyncio.wait([counting])
    return page


async def _expected(work: Slice) -> int | None:
    """What the provider counts; unknown, and shown so, when it does not answer."""
    try:
        return await work.connector.expected(work.call, work.job.resource)
    except Interruption as error:
        log.info("expected_unknown", job=work.job.id, why=error.code)
        return None


async def _checkpoint(work: Slice, tools: Tools, page: Page, emitted: Emission, positions: dict[int, int]) -> None:
    job = work.job
    _count(job, page, emitted, positions)
    async with tools.write(job) as db:
        await seen.record(db, job.connection, job.resource, emitted.sightings)
        problem = _stuck(work, page) or await _looping(db, job)
        if problem is not None:
            job.state, job.error = "failed", problem
            await jobs.save(db, job, "JobFailed")
        elif job.cursor != FINISHING and tools.max_pages is not None and job.pages >= tools.max_pages:
            job.state, job.error = "incomplete", _limit_reached(tools.max_pages)
            await jobs.save(db, job, "JobFinished")
        else:
            await jobs.go_on(db, job, pause=work.over or tools.stopping.is_set(), told=work.worth_telling())


def _count(job: Job, page: Page, emitted: Emission, positions: dict[int, int]) -> None:
    job.pages += 1
    job.items += emitted.fresh
    job.receipt = emitted.receipt
    job.positions = {**job.positions, **positions}
    job.attempts, job.pending = 0, ()
    job.empty = 0 if page.records or page.rejected else (job.empty + 1 if page.place == job.place else 1)
    job.place = page.place
    job.cursor = page.cursor if page.cursor is not None else FINISHING


def _stuck(work: Slice, page: Page) -> Problem | None:
    limit = work.runtime.provider.max_empty_pages
    if work.job.cursor == FINISHING or work.job.empty <= limit or page.records:
        return None
    detail = f"{work.runtime.provider.name} sent {work.job.empty} empty pages in a row and says there are more."
    return Problem(code="cursor_loop", detail=detail)


async def _looping(db: AsyncConnection, job: Job) -> Problem | None:
    if job.cursor == FINISHING:
        return None
    digest = blake2b(SORTED.encode(job.cursor), digest_size=16).digest()
    if await seen.first_sighting(db, job.id, digest):
        return None
    return Problem(code="cursor_loop", detail="The provider sent the same cursor twice: the walk would never end.")


def _limit_reached(limit: int) -> Problem:
    return Problem(
        code="max_pages",
        detail=f"Stopped after {limit} pages, the limit that TRIBUTARY_MAX_PAGES sets: there may be more.",
    )
