"""Decide what becomes of a job whose page was not read: try soon, wait, start again, or end."""

from __future__ import annotations

import random
from typing import Final

import msgspec
import structlog

from services.fetcher import store
from services.fetcher.call import AUTH_AWAY
from services.fetcher.context import FetcherContext
from services.fetcher.jobs import transitions
from services.fetcher.jobs.queries import Job
from services.fetcher.run import JobRun
from shared import clock
from shared.connector import Interruption, Reauthorize, Reject, Restart, RetryLater
from shared.contracts.progress import JobError

# With the waits below, six attempts last half a minute: a provider's hiccup, not an outage.
ATTEMPTS: Final = 6
# A cursor that expires again and again will not get through; a few times may be bad luck.
RESTARTS: Final = 5
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 60.0
# A shorter wait costs less in the slot than giving the job back and claiming it again.
DEFER_OVER_S: Final = 2.0
UNCOUNTED: Final = frozenset({"rate_limited", AUTH_AWAY})
"""Codes that count as no attempt: a limit is no failure, and auth is waited for however long."""

log = structlog.get_logger()


async def interrupted(run: JobRun, context: FetcherContext, error: Interruption) -> None:
    """Write what is next for the job. On return it is running (try again now), waiting or over."""
    log.info(
        "page_not_read",
        job_id=run.job.id,
        resource=run.job.resource,
        error=error.code,
        reason=error.reason,
    )
    match error:
        case RetryLater():
            await _retry(run, context, error)
        case Restart():
            await _restart(run, context, error)
        case Reauthorize():
            await fail(run.job, context, JobError(code=error.code, detail=error.reason))
        case Reject():
            await fail(
                run.job, context, JobError(code=error.code, detail=error.reason, scope=error.scope)
            )
        case _:
            raise error


async def _retry(run: JobRun, context: FetcherContext, error: RetryLater) -> None:
    job = run.job
    if not error.limit and error.code not in UNCOUNTED:
        job.attempts += 1
        if job.attempts > ATTEMPTS:
            detail = f"Gave up after {ATTEMPTS} attempts. The last one: {error.reason}"
            await fail(job, context, JobError(code=error.code, detail=detail))
            return
    seconds = backoff(job.attempts) if error.after_s is None else error.after_s
    if seconds <= DEFER_OVER_S and not run.over and await _slept(context, seconds):
        return
    async with context.database.write(lock=job.connection_id) as db:
        await transitions.defer(db, job, seconds=seconds, reason=error.reason)


async def _restart(run: JobRun, context: FetcherContext, error: Restart) -> None:
    """Start the walk again.

    What was read keeps its version, so nothing is counted or sent twice.
    """
    job = run.job
    job.cursor, job.part, job.empty_pages = None, None, 0
    job.receipt = msgspec.structs.replace(job.receipt, restarts=job.receipt.restarts + 1)
    if job.receipt.restarts > RESTARTS:
        await fail(
            job,
            context,
            JobError(code=error.code, detail=f"Started again {RESTARTS} times. {error.reason}"),
        )
        return
    async with context.database.write(lock=job.connection_id) as db:
        await store.forget_cursors(db, job.id)
        await transitions.advance(db, job, end_run=False)


async def fail(job: Job, context: FetcherContext, error: JobError) -> None:
    async with context.database.write(lock=job.connection_id) as db:
        await transitions.finish(db, job, "failed", error)


def backoff(attempt: int) -> float:
    """Return the seconds to wait after ``attempt`` failures: doubled, capped, half random."""
    longest: float = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** max(0, attempt - 1))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311  # spreads retries, guards nothing


async def _slept(context: FetcherContext, seconds: float) -> bool:
    """Return False when the worker wants to leave before the time is over."""
    try:
        async with clock.timeout(seconds):
            await context.stopping.wait()
    except TimeoutError:
        return True
    return False
