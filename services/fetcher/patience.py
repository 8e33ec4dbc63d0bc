"""Measure for how long something has been failing: how long to wait, and when to give it up.

Only time counts in which it was tried, or in which another call was tried in its place.
"""

from __future__ import annotations

import random
from typing import Final

from sqlalchemy import case, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher.call import AUTH_AWAY, NO_FAILURES
from services.fetcher.jobs.queries import Job
from services.fetcher.parts import WalkedPart, of_lane
from services.fetcher.tables import parts
from shared import clock
from shared.connector import RetryLater

FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 300.0
UNTRIED_S: Final = 172_800.0
"""Nobody tried a part that was due for longer than this: we were stopped, or busy elsewhere. It is
the whole patience by default, so that one failure after a long stop does not end the part."""


def wait_s(failing: WalkedPart | Job, error: RetryLater, *, give_up_after_s: float) -> float | None:
    """Return the seconds until the next try, or None when it has been failing for too long.

    If the provider asks for a long wait, we do not count that time as failing.
    """
    if not error.limit and error.code not in NO_FAILURES:
        return growing_s(failing, asked=asked_s(error), give_up_after_s=give_up_after_s)
    seconds = jittered(FIRST_WAIT_S) if error.after_s is None else error.after_s
    if error.limit:
        failing.failing_since = None  # the provider has answered
    elif failing.failing_since is not None:
        failing.failing_since += seconds
    return seconds


def growing_s(
    failing: WalkedPart | Job, *, give_up_after_s: float, asked: float = 0.0
) -> float | None:
    """Return a wait about as long as the failure has lasted, at least ``asked``; None: give up."""
    now = clock.now()
    if isinstance(failing, WalkedPart):
        _leave_out_untried(failing)
    if failing.failing_since is None:
        failing.failing_since = now
    lasted = now - failing.failing_since
    if lasted >= give_up_after_s:
        return None
    if asked > LONGEST_WAIT_S:
        failing.failing_since += asked
    return max(asked, jittered(min(LONGEST_WAIT_S, max(FIRST_WAIT_S, lasted))))


def _leave_out_untried(part: WalkedPart) -> None:
    now, due_at, part.next_try_at = clock.now(), part.next_try_at, 0.0
    if due_at and part.failing_since is not None and now - due_at > UNTRIED_S:
        part.failing_since = min(now, part.failing_since + now - due_at)


async def hold_back(db: AsyncConnection, job: Job, seconds: float) -> None:
    """Let the failing parts that are due wait for ``seconds``, because others fail as well.

    Otherwise this would be time in which nobody tried them, and would not count.
    """
    now = clock.now()
    due = of_lane(parts, job) & (parts.c.job_id == job.id) & parts.c.outcome.is_(None)
    due &= (parts.c.next_try_at > 0) & (parts.c.next_try_at <= now)
    due &= parts.c.failing_since.is_not(None)
    untried = case((parts.c.next_try_at < now - UNTRIED_S, now - parts.c.next_try_at), else_=0.0)
    waits = {"failing_since": parts.c.failing_since + untried, "next_try_at": now + seconds}
    await db.execute(update(parts).where(due).values(waits))


def asked_s(error: RetryLater) -> float:
    """Return the wait in seconds that the provider itself asks for."""
    if error.code == AUTH_AWAY or error.after_s is None:
        return 0.0
    return error.after_s


def gave_up(failing: WalkedPart | Job) -> str:
    since = failing.failing_since
    lasted = 0.0 if since is None else clock.now() - since
    return f"Gave up after trying for {_duration(lasted)}. The last answer: "


def _duration(seconds: float) -> str:
    """Return a duration in words, at least 2 of its unit: "119 seconds", "2 minutes"."""
    for unit, length in (("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def jittered(seconds: float) -> float:
    """Return between half and all of ``seconds``."""
    return seconds * random.uniform(0.5, 1.0)  # noqa: S311  # spreads retries, guards nothing
