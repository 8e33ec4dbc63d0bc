"""What happens to a job whose page was not read: a short wait, a parked job, a new start, or its end."""

from __future__ import annotations

import asyncio
import random

import msgspec
import structlog

from services.fetcher import jobs, seen
from services.fetcher.job import Job
from services.fetcher.tokens import AUTH_AWAY
from services.fetcher.work import Slice, Tools
from shared.connector import Interruption, Reauthorize, Reject, Restart, RetryLater
from shared.contracts.progress import Problem

ATTEMPTS = 6
RESTARTS = 5
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 60.0
PARK_OVER_S = 2.0
UNCOUNTED = frozenset({"rate_limited", AUTH_AWAY})
"""A limit is no failure, and what is away on our own side is waited for as long as it takes."""

log = structlog.get_logger()


async def interrupted(work: Slice, tools: Tools, error: Interruption) -> None:
    """Write down what is next for the job; on return it is running (try again now), ready or over."""
    log.info("page_not_read", job=work.job.id, resource=work.job.resource, error=error.code, why=error.reason)
    match error:
        case RetryLater():
            await _retry(work, tools, error)
        case Restart():
            await _restart(work, tools, error)
        case Reauthorize():
            await fail(work.job, tools, Problem(code=error.code, detail=error.reason))
        case Reject():
            await fail(work.job, tools, Problem(code=error.code, detail=error.reason, scope=error.scope))
        case _:
            raise error


async def _retry(work: Slice, tools: Tools, error: RetryLater) -> None:
    job = work.job
    if not error.limit and error.code not in UNCOUNTED:
        job.attempts += 1
        if job.attempts > ATTEMPTS:
            detail = f"Given up after {ATTEMPTS} attempts. The last one: {error.reason}"
            await fail(job, tools, Problem(code=error.code, detail=detail))
            return
    seconds = backoff(job.attempts) if error.after_s is None else error.after_s
    if seconds <= PARK_OVER_S and not work.over and await _slept(tools, seconds):
        return
    async with tools.write(job) as db:
        await jobs.park(db, job, seconds=seconds, reason=error.reason)


async def _restart(work: Slice, tools: Tools, error: Restart) -> None:
    """From the start again. What was sighted keeps its version, so nothing is counted or sent twice."""
    job = work.job
    job.cursor, job.place, job.empty = None, None, 0
    job.receipt = msgspec.structs.replace(job.receipt, restarts=job.receipt.restarts + 1)
    if job.receipt.restarts > RESTARTS:
        await fail(job, tools, Problem(code=error.code, detail=f"Started again {RESTARTS} times. {error.reason}"))
        return
    async with tools.write(job) as db:
        await seen.forget_cursors(db, job.id)
        await jobs.save(db, job, "PageLoaded")


async def fail(job: Job, tools: Tools, problem: Problem) -> None:
    job.state, job.error = "failed", problem
    async with tools.write(job) as db:
        await jobs.save(db, job, "JobFailed")


def backoff(attempt: int) -> float:
    """Seconds before attempt number ``attempt`` + 1: doubling, capped, with full jitter above half."""
    longest: float = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** max(0, attempt - 1))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311  # spreads retries, guards nothing


async def _slept(tools: Tools, seconds: float) -> bool:
    """False when the worker wants to leave before the time is over."""
    try:
        async with asyncio.timeout(seconds):
            await tools.stopping.wait()
    except TimeoutError:
        return True
    return False
