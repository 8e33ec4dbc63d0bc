"""A failing provider is retried until it has been away too long, however often that was."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.fetcher.patience import LONGEST_WAIT_S
from services.fetcher.tests.crashing import Fetcher
from services.fetcher.tests.test_walks import apple, code, number_of
from services.fetcher.worker import ATTEMPTS
from shared import clock
from shared.connector import Cursor, Lookup, Page, RetryLater
from shared.contracts.progress import JobProgress
from shared.contracts.topics import JOBS
from shared.db import Schema
from tests.support.clock import MovableClock

COUNTS = {"apples": 0, "pears": 4}
PAGES = 10
STEP_S = 30.0
HOUR_S = 3_600.0
REASON = "Orchard is not available (status 503)."


@pytest.fixture
async def fetcher(movable_clock: MovableClock, home: Path | Schema) -> AsyncIterator[Fetcher]:
    """Yield a fetcher that never waits within a run: a job that has to wait is deferred."""
    fetcher = Fetcher(home, COUNTS)
    await fetcher.boot()
    fetcher.context.stopping.set()
    yield fetcher
    await fetcher.database.close()


class Outage:
    """Ten pages of apples; the fifth cannot be read until a given time."""

    def __init__(self, fetcher: Fetcher, *, until: float, asks_s: float | None = None) -> None:
        self.until, self._asks_s = until, asks_s
        self.read: list[int] = []
        self.failed_at: list[float] = []
        fetcher.orchard.script["apples"] = self._page

    def _page(self, cursor: Cursor | None) -> Page:
        n = number_of(cursor)
        if n == 4 and clock.now() < self.until:
            self.failed_at.append(clock.now())
            raise RetryLater(REASON, after_s=self._asks_s)
        self.read.append(n)
        return Page(records=[apple(n)], cursor={"n": n + 1} if n + 1 < PAGES else None)

    @property
    def waits(self) -> list[float]:
        pairs = zip(self.failed_at, self.failed_at[1:], strict=False)
        return [later - earlier for earlier, later in pairs]


async def live_on(
    fetcher: Fetcher, movable_clock: MovableClock, *, most_s: float, step_s: float = STEP_S
) -> dict[str, JobProgress]:
    """Let time pass until nothing is left to do; return the last progress by resource.

    It passes in steps, or at once until the next job is due. Nobody jumps over the end.
    """
    ends = clock.now() + most_s
    while clock.now() < ends:
        await fetcher.relay_once()
        while fetcher.read < len(fetcher.log.of(JOBS)):
            await fetcher.deliver()
        await fetcher.settle()
        if not (left := await fetcher.unfinished()):
            break
        due = [job.waiting_until - clock.now() for job in left if job.waiting_until is not None]
        movable_clock.move(seconds=max(step_s, min([*due, ends - clock.now()]) if due else 0.0))
    await fetcher.relay_once()
    return {resource: told for (_, resource), told in fetcher.newest_progress().items()}


async def test_a_provider_that_is_away_for_half_an_hour_costs_no_page_and_no_person(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    outage = Outage(fetcher, until=clock.now() + 1800)
    await fetcher.connect(1)
    told = (await live_on(fetcher, movable_clock, most_s=4000))["apples"]
    assert (told.state, told.items) == ("done", PAGES)
    assert outage.read == list(range(PAGES))
    late = clock.now() - outage.until
    assert late <= 2 * LONGEST_WAIT_S + (PAGES + 1) * STEP_S, "a wait is five minutes at most"


async def test_waits_grow_to_five_minutes(fetcher: Fetcher, movable_clock: MovableClock) -> None:
    outage = Outage(fetcher, until=clock.now() + 20_000)
    await fetcher.connect(1)
    await live_on(fetcher, movable_clock, most_s=25_000)
    # A wait ends with a step of the clock, and the time that the test itself takes counts too.
    assert max(outage.waits) <= 2 * LONGEST_WAIT_S
    assert min(outage.waits[-20:]) >= LONGEST_WAIT_S / 2
    assert min(outage.waits) < LONGEST_WAIT_S / 4
    assert len(set(outage.waits[-20:])) > 1, "or all would come back at once"


async def test_what_stays_away_is_given_up_in_words_and_the_others_are_done(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    object.__setattr__(fetcher.context, "give_up_after_s", 4 * HOUR_S)
    outage = Outage(fetcher, until=clock.now() + 1_000_000)
    await fetcher.connect(1)
    told = await live_on(fetcher, movable_clock, most_s=20_000)
    apples = told["apples"]
    assert (apples.state, code(apples), apples.items) == ("incomplete", "unavailable", 4)
    error = apples.error.detail if apples.error else ""
    assert f"Gave up after trying for 4 hours. The last answer: {REASON}" in error
    assert 4 * HOUR_S <= outage.failed_at[-1] - outage.failed_at[0] < 4 * HOUR_S + 1_200
    assert told["pears"].state == "done"


async def test_it_is_given_up_after_two_days_unless_a_setting_says_otherwise(
    fetcher: Fetcher,
) -> None:
    assert fetcher.context.give_up_after_s == 48 * HOUR_S


async def test_a_page_that_was_read_renews_the_patience(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    object.__setattr__(fetcher.context, "give_up_after_s", 3600.0)
    away: list[float] = []

    def page(cursor: Cursor | None) -> Page:
        n = number_of(cursor)
        if len(away) <= n:
            away.append(clock.now() + 2400)
        if clock.now() < away[n]:
            raise RetryLater(REASON)
        return Page(records=[apple(n)], cursor={"n": n + 1} if n < 2 else None)

    fetcher.orchard.script["apples"] = page
    await fetcher.connect(1)
    told = (await live_on(fetcher, movable_clock, most_s=12_000))["apples"]
    assert (told.state, told.items) == ("done", 3)


async def test_a_long_wait_that_the_provider_asks_for_is_kept_to_and_not_counted(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    object.__setattr__(fetcher.context, "give_up_after_s", 3600.0)
    outage = Outage(fetcher, until=clock.now() + 20_000, asks_s=7200.0)
    await fetcher.connect(1)
    told = (await live_on(fetcher, movable_clock, most_s=30_000))["apples"]
    assert told.state == "done"
    assert [wait >= 7200.0 for wait in outage.waits] == [True, True]


async def test_a_provider_that_asks_to_be_tried_at_once_is_not_hammered(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    outage = Outage(fetcher, until=clock.now() + 1800, asks_s=0.0)
    await fetcher.connect(1)
    await live_on(fetcher, movable_clock, most_s=4000)
    assert len(outage.failed_at) < 40


async def test_a_call_that_belongs_to_no_part_is_tried_as_long(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    failed_at: list[float] = []

    def away(_: tuple[str, ...]) -> Lookup:
        failed_at.append(clock.now())
        raise RetryLater(REASON)

    object.__setattr__(fetcher.context, "give_up_after_s", 4 * HOUR_S)
    fetcher.orchard.of_ids["pears"] = away
    await fetcher.connect(1)
    await live_on(fetcher, movable_clock, most_s=600)
    await fetcher.refetch("pears", "pears-000")
    await live_on(fetcher, movable_clock, most_s=20_000)
    (job,) = [job for job in await fetcher.all_jobs() if job.kind == "refetch"]
    assert job.outcome == "failed"
    assert "trying for 4 hours" in (job.error.detail if job.error else "")
    assert failed_at[-1] - failed_at[0] >= 4 * HOUR_S


async def test_a_failure_of_ours_ends_the_job_after_some_attempts(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    asked: list[Cursor | None] = []

    def broken(cursor: Cursor | None) -> Page:
        asked.append(cursor)
        raise ValueError("a bug")

    fetcher.orchard.script["apples"] = broken
    await fetcher.connect(1)
    told = await live_on(fetcher, movable_clock, most_s=4000)
    assert (told["apples"].state, code(told["apples"])) == ("failed", "internal")
    assert len(asked) == ATTEMPTS + 1
    assert told["pears"].state == "done"


async def test_a_failure_of_ours_after_everything_was_read_leaves_the_job_incomplete(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    def broken(ids: tuple[str, ...]) -> Lookup:
        raise ValueError(ids)

    await fetcher.connect(1)
    await live_on(fetcher, movable_clock, most_s=4000)
    fetcher.orchard.ids["pears"].pop()
    fetcher.orchard.of_ids["pears"] = broken
    await fetcher.ask("again")
    await live_on(fetcher, movable_clock, most_s=4000)
    told = fetcher.newest_progress()["again", "pears"]
    assert (told.state, code(told)) == ("incomplete", "internal")
