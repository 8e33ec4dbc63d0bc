"""A worker: N slots in which claimed jobs run, one slice at a time."""

from __future__ import annotations

import asyncio
import os
import socket

import structlog

from services.fetcher import jobs
from services.fetcher.interrupt import ATTEMPTS, backoff, fail
from services.fetcher.job import Job
from services.fetcher.jobs import LostClaimError
from services.fetcher.load import load
from services.fetcher.purge import purge
from services.fetcher.work import Tools
from shared.contracts.envelope import new_id
from shared.contracts.pages import LoadPage
from shared.contracts.progress import Problem

log = structlog.get_logger()


class Worker:
    """Takes wake-ups while it has a free slot; ``stop`` ends every slice at its next page border."""

    def __init__(self, tools: Tools, *, slots: int) -> None:
        self.id = f"{socket.gethostname()}-{os.getpid()}-{new_id()[-8:]}"
        self._tools = tools
        self._free = asyncio.Semaphore(slots)
        self._running: set[asyncio.Task[None]] = set()

    async def take(self, wake_up: LoadPage) -> None:
        """Claim the job of a wake-up and run its slice beside the others; waits for a free slot.

        Returns when the claim is committed: from then on the job's row says who has it, not the message.
        """
        await self._free.acquire()
        try:
            async with self._tools.database.write() as db:
                job = await jobs.claim(db, job=wake_up.job, wake=wake_up.wake, worker=self.id)
        except BaseException:
            self._free.release()
            raise
        if job is None:
            self._free.release()
            return
        task = asyncio.create_task(self._run(job), name=f"slice {job.lane}")
        self._running.add(task)
        task.add_done_callback(self._done)

    async def stop(self) -> None:
        self._tools.stopping.set()
        if self._running:
            await asyncio.wait(self._running)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._free.release()
        if not task.cancelled() and task.exception() is not None:
            log.error("slice_ended_badly", exc_info=task.exception())

    async def _run(self, job: Job) -> None:
        try:
            await (purge if job.kind == "purge" else load)(job, self._tools)
        except LostClaimError:
            log.info("claim_lost", job=job.id)
        except Exception as error:  # whatever it is, the job must not stay claimed
            log.exception("slice_failed", job=job.id, resource=job.resource)
            await self._give_back(job.id, error)

    async def _give_back(self, job_id: str, error: Exception) -> None:
        """Try again later from what the row says; after too many failures the job says that the fault is ours."""
        async with self._tools.database.read() as db:
            job = await jobs.get(db, job_id)
        if job is None or job.worker != self.id:
            return
        job.attempts += 1
        if job.attempts > ATTEMPTS:
            detail = f"An error of Tributary's own ({type(error).__name__}); its log says more."
            await fail(job, self._tools, Problem(code="internal", detail=detail))
            return
        async with self._tools.database.write() as db:
            reason = "Something went wrong on our side; trying again."
            await jobs.park(db, job, seconds=backoff(job.attempts), reason=reason)
