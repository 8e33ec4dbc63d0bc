"""Claim jobs and run them in N slots, one run at a time in each."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Final

import structlog

from services.fetcher import patience, store, walk
from services.fetcher.confirm import confirm
from services.fetcher.context import FetcherContext, JobRun, LaneRun, open_lane_run, open_run
from services.fetcher.finish import STAGE, finish, is_finishing
from services.fetcher.interrupt import end, end_faulty, interrupted
from services.fetcher.jobs import queries, transitions
from services.fetcher.jobs.queries import Job, LostClaimError
from services.fetcher.metrics import ITEM_OUTCOMES, ITEMS, PAGES
from services.fetcher.orders import remove
from services.fetcher.purge import purge
from services.fetcher.reconcile import reconcile
from services.fetcher.refetch import refetch
from shared.connector import Interruption
from shared.contracts import jobs
from shared.contracts.connections import Connection
from shared.contracts.envelope import decode, new_id
from shared.contracts.items import version
from shared.contracts.jobs import RunJob
from shared.contracts.progress import JobError, Receipt
from shared.contracts.topics import BACKGROUND_JOBS, JOBS
from shared.failpoints import failpoint
from shared.kafka import ConsumedRecord, Consumers
from shared.transient import is_transient

LEAVE_S: Final = 1.5
"""Seconds that runs get to finish their page when the worker leaves.

The whole service has ten seconds to stop: process managers kill what takes longer.
"""
GIVE_BACK_S: Final = 0.5
ATTEMPTS: Final = 6
"""A fault of ours seldom goes away by itself: six more attempts in half a minute are enough."""
FIRST_WAIT_S: Final = 0.5
BACKGROUND_SHARE: Final = 4
"""Work that nobody waits for gets at most one slot in four."""

DELETES: Final[Mapping[str, Callable[[LaneRun, FetcherContext], Awaitable[None]]]] = {
    "purge": purge,
    "remove": remove,
}
"""Kinds of jobs that need no provider, and their steps."""
ASKS_BY_ID: Final[Mapping[str, Callable[[JobRun, FetcherContext], Awaitable[None]]]] = {
    "refetch": refetch,
    "confirm": confirm,
}

log = structlog.get_logger()


class PartFaultError(Exception):
    """A fault of ours, the cause of this one, came up while a part was read."""

    def __init__(self, part: str) -> None:
        super().__init__(part)
        self.part = part


class Worker:
    """Take ``RunJob``s while a slot is free; ``stop`` ends every run after its current page."""

    def __init__(self, context: FetcherContext, *, slots: int) -> None:
        self.id = f"{socket.gethostname()}-{os.getpid()}-{new_id()[-8:]}"
        self._context = context
        self._free = asyncio.Semaphore(slots)
        self._background = asyncio.Semaphore(max(1, slots // BACKGROUND_SHARE))
        self.runs: set[asyncio.Task[None]] = set()
        """The tasks of the runs under way."""
        self._at_work: set[tuple[str, int]] = set()

    @property
    def busy(self) -> int:
        """Return how many slots are in use."""
        return len(self.runs)

    def listen(self, consumers: Consumers) -> None:
        """Take the jobs that arrive on their two topics."""

        async def on_run_job(record: ConsumedRecord) -> None:
            _, run_job = decode(record.value, record.headers, jobs.KINDS)
            # The key is the job's lane.
            connection_id = record.key.decode(errors="replace").partition("/")[0]
            background = record.topic == BACKGROUND_JOBS
            await self.take(run_job, connection_id=connection_id, background=background)

        consumers.each(JOBS, on_run_job)
        consumers.each(BACKGROUND_JOBS, on_run_job)

    async def take(self, run_job: RunJob, *, connection_id: str, background: bool = False) -> None:
        """Wait for a slot, claim the job and start its run.

        Return once the claim is committed: from then on the job's row says who has it, and the
        message may be forgotten.
        """
        async with AsyncExitStack() as held:
            if background:
                await held.enter_async_context(self._background)
            await self._slot(held)
            async with self._context.database.write(lock=connection_id) as db:
                job = await transitions.claim(
                    db,
                    job_id=run_job.job_id,
                    dispatch=run_job.dispatch,
                    worker_id=self.id,
                    at_work=self._at_work,
                )
            failpoint("after_claim")
            if job is None:
                return
            self._at_work.add((job.id, job.dispatch))
            work = self._run(job, held.pop_all(), hurried=run_job.hurried)
            task = asyncio.create_task(work, name=f"run {job.lane}")
            self.runs.add(task)
            task.add_done_callback(self._done)

    async def _slot(self, held: AsyncExitStack) -> None:
        self._context.queue.waiting += 1
        try:
            await held.enter_async_context(self._free)
        finally:
            self._context.queue.waiting -= 1

    async def stop(self) -> None:
        """End every run. One that does not finish its page in time is cancelled.

        Another worker then continues its job.
        """
        self._context.stopping.set()
        if self.runs:
            _, late = await asyncio.wait(self.runs, timeout=LEAVE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self.runs.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("run_crashed", exc_info=task.exception())

    async def _run(self, job: Job, slot: AsyncExitStack, *, hurried: bool) -> None:
        epoch, dispatch = job.epoch, job.dispatch
        async with slot:
            try:
                await self._work(job, epoch, hurried=hurried)
            finally:
                self._at_work.discard((job.id, dispatch))

    async def _work(self, job: Job, epoch: int, *, hurried: bool) -> None:
        try:
            await _run_claimed(job, self._context, hurried=hurried)
        except LostClaimError:
            log.info("claim_lost", job_id=job.id)
        except PartFaultError as fault:
            log.exception("run_failed", job_id=job.id, resource=job.resource, part=fault.part)
            await self._return(job.id, epoch, fault.__cause__ or fault, part=fault.part)
        except Exception as error:  # whatever happened, the job must not stay claimed
            log.exception("run_failed", job_id=job.id, resource=job.resource)
            await self._return(job.id, epoch, error)

    async def _return(
        self, job_id: str, epoch: int, error: BaseException, *, part: str | None = None
    ) -> None:
        """Give the job back, however long that takes.

        Nobody else may touch a job that a live worker has claimed, so it would be stuck for ever.
        """
        while True:
            try:
                await self._give_back(job_id, epoch, error, part)
            except LostClaimError:
                # A write that seemed to fail was committed after all: read the row again.
                continue
            except Exception as again:  # noqa: BLE001  # the database is away
                log.warning("job_not_given_back", job_id=job_id, error=str(again)[:200])
                await asyncio.sleep(GIVE_BACK_S)
            else:
                return

    async def _give_back(
        self, job_id: str, epoch: int, error: BaseException, part: str | None
    ) -> None:
        """Let the job try again later from its row.

        After too many attempts it goes on without the part that was read, or fails without one.
        """
        async with self._context.database.read() as db:
            job = await queries.get(db, job_id)
        if job is None or job.epoch != epoch or job.state != "running":
            return
        reason, code = "Tributary's own database or Kafka is away.", "storage_unavailable"
        if not is_transient(error):
            job.attempts += 1
            reason, code = "Something went wrong on our side. Trying again.", "internal"
        if job.attempts > ATTEMPTS:
            detail = f"Tributary itself failed ({type(error).__name__}). Its log says more."
            fault = JobError(code="internal", detail=detail)
            if part is None:
                await end(job, self._context, fault)
            else:
                await end_faulty(job, self._context, part, fault)
            return
        wait_s = patience.jittered(FIRST_WAIT_S * 2.0 ** max(0, job.attempts - 1))
        async with self._context.database.write(lock=job.connection_id) as db:
            await transitions.defer(db, job, seconds=wait_s, reason=reason, code=code)


async def _run_claimed(job: Job, context: FetcherContext, *, hurried: bool) -> None:
    """Run a claimed job, whatever its kind, until the run or the job ends.

    A run ends when its time is up, when the work is done, or when it is interrupted. In each case
    the job's row says what comes next.

    Raises:
        LostClaimError: another worker has the job now, and nothing was written.
    """
    async with context.database.read() as db:
        source = await store.connection(db, job.connection_id)
        last = await store.last_schemas(db, job.connection_id, job.resource)
    if source is None:
        raise LookupError(f"job {job.id} belongs to the unknown connection {job.connection_id}")
    if job.first_version is None:
        job.first_version = version(job.epoch, 0)
    if job.kind in DELETES:
        await _delete(job, source, context)
    elif source.provider in context.runtimes:
        run = open_run(job, source, context, last=last)
        # What somebody asks for now is tried, although the provider has not answered others.
        if hurried or not await _held_back(run, context):
            await _read_pages(run, context)
    else:
        log.warning("provider_unknown", connection_id=source.id, provider=source.provider)
        async with context.database.write(lock=source.id) as db:
            await transitions.finish(db, job, "failed", transitions.PROVIDER_UNKNOWN)


async def _delete(job: Job, source: Connection, context: FetcherContext) -> None:
    run = open_lane_run(job, source, context)
    while job.state == "running":
        pages, receipt = job.pages, job.receipt
        await DELETES[job.kind](run, context)
        _count_recorded(source.provider, job, pages=pages, receipt=receipt)


async def _held_back(run: JobRun, context: FetcherContext) -> bool:
    """Let the job wait if its provider does not answer; return whether it waits."""
    job, source, circuits = run.job, run.source, context.circuits
    circuits.active[source.provider, source.id] = run.began
    if not circuits.accounts and not circuits.providers:
        return False
    held_back = circuits.held_back(source.provider, source.id)
    if held_back is None:
        return False
    seconds, reason, code = held_back
    async with context.database.write(lock=job.connection_id) as db:
        await patience.hold_back(db, job, seconds)
        await transitions.defer(db, job, seconds=seconds, reason=reason, code=code)
    return True


async def _read_pages(run: JobRun, context: FetcherContext) -> None:
    job, source = run.job, run.source
    while job.state == "running":
        pages, receipt = job.pages, job.receipt
        try:
            await _step(job)(run, context)
            _count_recorded(source.provider, job, pages=pages, receipt=receipt)
            if job.pages > pages and context.circuits.accounts:
                context.circuits.answered(source.provider, source.id, None)
        except Interruption as error:
            await interrupted(run, context, error)
        except LostClaimError:
            raise
        except Exception as error:
            if run.part is None:
                raise
            raise PartFaultError(run.part.id) from error


def _step(job: Job) -> Callable[[JobRun, FetcherContext], Awaitable[None]]:
    if job.kind in ASKS_BY_ID:
        return ASKS_BY_ID[job.kind]
    if job.cursor is not None and is_finishing(job.cursor):
        return reconcile if STAGE in job.cursor else finish
    return walk.step if job.cursor == walk.WALKING else walk.begin


def _count_recorded(provider: str, job: Job, *, pages: int, receipt: Receipt) -> None:
    """Add to the metrics what a committed page has added to ``job``."""
    now = job.receipt
    more = (
        now.emitted - receipt.emitted,
        now.unchanged - receipt.unchanged,
        now.deleted - receipt.deleted,
    )
    PAGES.add(provider, by=job.pages - pages)
    for outcome, count in zip(ITEM_OUTCOMES, (*more, now.dropped - receipt.dropped), strict=True):
        ITEMS.add(provider, outcome, by=count)
