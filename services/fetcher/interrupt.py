"""Decide what happens to a part whose page was not read: try soon, wait, start again, or end.

A refusal of everything, or a failed call that belongs to no part, concerns the whole job instead.
"""

from __future__ import annotations

from typing import Final

import msgspec
import structlog

from services.fetcher import parts, unreached, walk
from services.fetcher.call import ANSWERED
from services.fetcher.context import FetcherContext, JobRun
from services.fetcher.jobs import transitions
from services.fetcher.jobs.queries import Job
from services.fetcher.parts import PartError, WalkedPart
from services.fetcher.patience import (
    FIRST_WAIT_S,
    LONGEST_WAIT_S,
    asked_s,
    gave_up,
    growing_s,
    wait_s,
)
from shared import clock
from shared.connector import Interruption, Reauthorize, Reject, Restart, RetryLater
from shared.contracts.progress import JobError

# When two parts in a row fail, the others will probably fail as well, so the job waits.
FAILED_IN_A_ROW: Final = 2
GOES_ON: Final = "The next sync continues from there."
ANEW: Final = "The next sync starts it again from the beginning."
OURS: Final = "There is nothing wrong with your account: report it to us with the log."
# A shorter wait costs less in the slot than giving the job back and claiming it again.
DEFER_OVER_S: Final = 2.0

log = structlog.get_logger()


async def interrupted(run: JobRun, context: FetcherContext, error: Interruption) -> None:
    """Record what happens next. On return the job is running (go on now), waiting or over."""
    job, part = run.job, run.part
    log.info(
        "page_not_read",
        job_id=job.id,
        resource=job.resource,
        part=part.id if part else None,
        error=error.code,
        reason=error.reason,
    )
    if isinstance(error, RetryLater) and not error.limit and error.code not in ANSWERED:
        name = f"{job.resource}/{part.id if part else job.resource}"
        context.circuits.failed(run.source.provider, run.source.id, name, error)
    scope = error.scope if isinstance(error, Reject) else None
    everything = isinstance(error, Reauthorize) or (isinstance(error, Reject) and error.everything)
    if part is not None and not everything:
        await _part_interrupted(run, context, part, error)
    elif isinstance(error, RetryLater):
        await _retry(run, context, error)
    else:
        await end(job, context, JobError(code=error.code, detail=error.reason, scope=scope))


async def end(job: Job, context: FetcherContext, error: JobError) -> None:
    """End the job at once. It has failed if nothing was read; else it is incomplete."""
    async with context.database.write(lock=job.connection_id) as db:
        ended = await unreached.with_unreached(db, job, await parts.outcomes(db, job))
        job.receipt = msgspec.structs.replace(job.receipt, parts=ended)
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
            run.part = _restart(part, error, give_up_after_s=context.give_up_after_s)
            receipt = run.job.receipt
            run.job.receipt = msgspec.structs.replace(receipt, restarts=receipt.restarts + 1)
        case Reject():
            run.part = _refused(part, error)
        case _:
            raise error
    async with context.database.write(lock=run.job.connection_id) as db:
        if part.cursor is None:
            await parts.forget_cursors(db, part)
        await parts.save(db, part)
        if run.failed >= FAILED_IN_A_ROW:
            await walk.wait_or_finish(db, run, least_s=_least_s(part))
        else:
            await walk.hand_on(db, run)


async def _tried_soon(
    run: JobRun, context: FetcherContext, part: WalkedPart, error: RetryLater
) -> bool:
    """Return True after a short wait; otherwise set the part aside, or give it up."""
    _ask_for_less(part, error)
    seconds = wait_s(part, error, give_up_after_s=context.give_up_after_s)
    if seconds is None:
        part.tried_again = True
        part.end("failed", _part_error(error, gave_up(part), remedy=GOES_ON))
        return False
    if seconds <= DEFER_OVER_S and not run.over and await _slept(context, seconds):
        return True
    now = clock.now()
    part.next_try_at, part.error = now + seconds, _part_error(error)
    asked = asked_s(error)
    part.not_before = now + asked if asked else None
    return False


def _least_s(part: WalkedPart) -> float:
    """Return for how long others wait with a part: its own wait, but not a long one asked for."""
    return max(FIRST_WAIT_S, min(LONGEST_WAIT_S, part.next_try_at - clock.now()))


def _restart(part: WalkedPart, error: Restart, *, give_up_after_s: float) -> WalkedPart | None:
    """Start the part again: at once the first time, then after growing waits, or give it up.

    A page that brings something new resets ``restarts``.
    """
    part.begin_anew()
    part.restarts += 1
    if part.restarts == 1:
        part.failing_since, part.next_try_at = None, 0.0
        return part
    seconds = growing_s(part, give_up_after_s=give_up_after_s)
    if seconds is None:
        part.tried_again = True
        part.end("failed", _part_error(error, gave_up(part), remedy=ANEW))
    else:
        part.next_try_at, part.not_before = clock.now() + seconds, None
        part.error = _part_error(error)
    return None


def _ask_for_less(part: WalkedPart, error: Interruption) -> bool:
    """Halve the part's pages if that may help; return whether it may."""
    if not error.too_much or part.page_size <= 1:
        return False
    part.page_size //= 2
    return True


def _refused(part: WalkedPart, error: Reject) -> WalkedPart | None:
    """End the part, or return it if smaller pages of it should be tried at once."""
    part.failing_since = None  # the provider has answered
    if _ask_for_less(part, error):
        return part
    part.end("failed", _part_error(error, scope=error.scope))
    if part.tried_again:
        # By the next sync, what was refused twice may have changed, so do not keep its place.
        part.begin_anew()
    return None


def _part_error(
    error: Interruption, before: str = "", *, remedy: str | None = None, scope: str | None = None
) -> PartError:
    return PartError(
        code=error.code,
        detail=_cut(f"{before}{error.reason}"),
        remedy=_cut(remedy or error.remedy),
        scope=scope,
    )


def _cut(text: str) -> str:
    """Return a text of at most ``LONGEST_DETAIL`` bytes: the rows of parts are small."""
    return text.encode()[: parts.LONGEST_DETAIL].decode(errors="ignore")


async def _retry(run: JobRun, context: FetcherContext, error: RetryLater) -> None:
    """Retry a call that belongs to no part."""
    job = run.job
    seconds = wait_s(job, error, give_up_after_s=context.give_up_after_s)
    if seconds is None:
        detail = f"{gave_up(job)}{error.reason}"
        await end(job, context, JobError(code=error.code, detail=detail))
        return
    if seconds <= DEFER_OVER_S and not run.over and await _slept(context, seconds):
        return
    now, asked = clock.now(), asked_s(error)
    async with context.database.write(lock=job.connection_id) as db:
        await transitions.defer(
            db,
            job,
            seconds=seconds,
            reason=error.reason,
            code=error.code,
            not_before=now + asked if asked else None,
        )


async def end_faulty(job: Job, context: FetcherContext, part_id: str, error: JobError) -> None:
    """End a part that we ourselves fail at, and let the job go on with the others."""
    async with context.database.write(lock=job.connection_id) as db:
        # What the run had of it may be ahead of what was saved.
        part = await parts.get(db, job, part_id)
        if part is None:
            await transitions.finish(db, job, "failed", error)
            return
        part.tried_again = True
        part.end("failed", PartError(code=error.code, detail=error.detail, remedy=OURS))
        part.begin_anew()
        await parts.forget_cursors(db, part)
        await parts.save(db, part)
        job.attempts = 0
        await transitions.defer(db, job, seconds=FIRST_WAIT_S, reason=error.detail, code=error.code)


async def _slept(context: FetcherContext, seconds: float) -> bool:
    """Wait, and return True; return False at once when the worker is stopping."""
    try:
        async with clock.timeout(seconds):
            await context.stopping.wait()
    except TimeoutError:
        return True
    return False
