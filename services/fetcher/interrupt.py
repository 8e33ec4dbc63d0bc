"""Decide what becomes of a part whose page was not read: try soon, wait, start again, or end.

A refusal of everything, or a call that belongs to no part, is the job's instead.
"""

from __future__ import annotations

import random
from typing import Final

import msgspec
import structlog

from services.fetcher import parts, walk
from services.fetcher.call import AUTH_AWAY
from services.fetcher.context import FetcherContext, JobRun
from services.fetcher.jobs import transitions
from services.fetcher.jobs.queries import Job
from services.fetcher.parts import PartError, WalkedPart
from shared import clock
from shared.connector import Interruption, Reauthorize, Reject, Restart, RetryLater
from shared.contracts.progress import JobError

# With the waits below, six attempts last half a minute: a provider's hiccup, not an outage.
ATTEMPTS: Final = 6
# A cursor that expires again and again will not get through; a few times may be bad luck.
RESTARTS: Final = 5
# When two parts in a row do not get through, others will not either: the job waits.
FAILED_IN_A_ROW: Final = 2
GOES_ON: Final = "The next sync goes on from there."
ANEW: Final = "The next sync begins it anew."
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 60.0
# A shorter wait costs less in the slot than giving the job back and claiming it again.
DEFER_OVER_S: Final = 2.0
UNCOUNTED: Final = frozenset({"rate_limited", AUTH_AWAY})
"""Codes that count as no attempt: a limit is no failure, and auth is waited for however long."""

log = structlog.get_logger()


async def interrupted(run: JobRun, context: FetcherContext, error: Interruption) -> None:
    """Write what is next. On return the job is running (go on now), waiting or over."""
    job, part = run.job, run.part
    log.info(
        "page_not_read",
        job_id=job.id,
        resource=job.resource,
        part=part.id if part else None,
        error=error.code,
        reason=error.reason,
    )
    scope = error.scope if isinstance(error, Reject) else None
    everything = isinstance(error, Reauthorize) or (isinstance(error, Reject) and error.everything)
    if part is not None and not everything:
        await _part_interrupted(run, context, part, error)
    elif isinstance(error, RetryLater):
        await _retry(run, context, error)
    else:
        await _end(run, context, JobError(code=error.code, detail=error.reason, scope=scope))


async def _end(run: JobRun, context: FetcherContext, error: JobError) -> None:
    """End the job at once. It has failed if nothing was read; else it is incomplete."""
    job = run.job
    async with context.database.write(lock=job.connection_id) as db:
        job.receipt = msgspec.structs.replace(job.receipt, parts=await parts.outcomes(db, job))
        something = job.kind == "load" and await parts.anything_read(db, job)
        await transitions.finish(db, job, "incomplete" if something else "failed", error)


async def _part_interrupted(
    run: JobRun, context: FetcherContext, part: WalkedPart, error: Interruption
) -> None:
    match error:
        case RetryLater():
            if await _tried_soon(run, context, part, error):
                return
            run.part, run.failed = None, run.failed + 1
        case Restart():
            _restart(part, error)
            receipt = run.job.receipt
            run.job.receipt = msgspec.structs.replace(receipt, restarts=receipt.restarts + 1)
            run.part = part if part.outcome is None else None
        case Reject():
            _refuse(part, error)
            run.part = None
        case _:
            raise error
    async with context.database.write(lock=run.job.connection_id) as db:
        if part.cursor is None:
            await parts.forget_cursors(db, part)
        await parts.save(db, part)
        if run.failed >= FAILED_IN_A_ROW:
            await walk.wait_or_finish(db, run)
        else:
            await walk.hand_on(db, run)


async def _tried_soon(
    run: JobRun, context: FetcherContext, part: WalkedPart, error: RetryLater
) -> bool:
    """Return True after a wait that was short; otherwise set the part aside, or give it up."""
    if _counts(error):
        part.attempts += 1
    if part.attempts > ATTEMPTS:
        part.tried_again = True
        before = f"Gave up after {ATTEMPTS} attempts. The last one: "
        part.end("failed", _part_error(error, before, remedy=GOES_ON))
        return False
    seconds = backoff(part.attempts) if error.after_s is None else error.after_s
    if seconds <= DEFER_OVER_S and not run.over and await _slept(context, seconds):
        return True
    part.next_try_at, part.error = clock.now() + seconds, _part_error(error)
    return False


def _restart(part: WalkedPart, error: Restart) -> None:
    part.begin_anew()
    part.restarts += 1
    if part.restarts > RESTARTS:
        part.tried_again = True
        part.end("failed", _part_error(error, f"Started again {RESTARTS} times. ", remedy=ANEW))


def _refuse(part: WalkedPart, error: Reject) -> None:
    part.end("failed", _part_error(error, scope=error.scope))
    if part.tried_again:
        # What was refused twice may have changed by the next sync: nothing is kept of it.
        part.begin_anew()


def _part_error(
    error: Interruption, before: str = "", *, remedy: str | None = None, scope: str | None = None
) -> PartError:
    return PartError(
        code=error.code,
        detail=f"{before}{error.reason}"[: parts.LONGEST_DETAIL],
        remedy=(remedy or error.remedy)[: parts.LONGEST_DETAIL],
        scope=scope,
    )


def _counts(error: RetryLater) -> bool:
    return not error.limit and error.code not in UNCOUNTED


async def _retry(run: JobRun, context: FetcherContext, error: RetryLater) -> None:
    """Try a call that belongs to no part again."""
    job = run.job
    if _counts(error):
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
