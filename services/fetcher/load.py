"""Run a claimed job, whatever its kind, until its run ends or the job does.

A run ends when its time is over, at the end of the work, or at an interruption. In each case the
job's row says what is next.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog

from services.fetcher import store, walk
from services.fetcher.context import FetcherContext
from services.fetcher.finish import FINISHING, finish
from services.fetcher.interrupt import interrupted
from services.fetcher.jobs import transitions
from services.fetcher.jobs.queries import Job
from services.fetcher.metrics import ITEM_OUTCOMES, ITEMS, PAGES
from services.fetcher.purge import purge
from services.fetcher.refetch import refetch
from services.fetcher.run import JobRun, open_lane_run, open_run
from shared.connector import Interruption
from shared.contracts.connections import Connection
from shared.contracts.items import version
from shared.contracts.progress import Receipt

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
    if job.cursor == FINISHING:
        return finish
    return walk.step if job.cursor == walk.WALKING else walk.begin


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
