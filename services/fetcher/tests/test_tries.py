"""Only time in which something is tried counts, and nothing is tried without a wait in between."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from services.fetcher.call import AUTH_AWAY, TOKEN_REFUSED
from services.fetcher.circuits import Circuit
from services.fetcher.patience import LONGEST_WAIT_S
from services.fetcher.plan import plan_retry
from services.fetcher.tests.crashing import Fetcher
from services.fetcher.tests.test_parts import live, named, parts_of, rows
from services.fetcher.tests.test_patience import STEP_S, live_on
from services.fetcher.tests.test_waiting_loads import at_work
from services.fetcher.tests.test_walks import apple, code, number_of
from services.fetcher.worker import ATTEMPTS
from shared import clock
from shared.connector import Cursor, Interruption, Page, Part, Restart, RetryLater, Span
from shared.contracts.syncs import RetrySync
from tests.support.clock import MovableClock

HOUR_S = 3_600.0
DOWN = RetryLater("Orchard is not available (status 502).")
LIMIT = RetryLater("The limit is reached.", code="rate_limited", after_s=HOUR_S, limit=True)
AWAY = RetryLater("The auth service does not answer.", code=AUTH_AWAY, after_s=HOUR_S)
REFUSED = RetryLater("Orchard refuses the token.", code=TOKEN_REFUSED, after_s=3.0)
TABLES = [f"t{number}" for number in range(8)]


@pytest.fixture
async def fetcher(movable_clock: MovableClock, tmp_path: Path) -> AsyncIterator[Fetcher]:
    """Yield a fetcher that never waits within a run: a job that has to wait is deferred."""
    fetcher = Fetcher(tmp_path, {"apples": 4})
    await fetcher.boot()
    fetcher.context.stopping.set()
    yield fetcher
    await fetcher.database.close()


def failing(fetcher: Fetcher, *errors: Interruption) -> list[float]:
    """Let the third of four pages fail with each of ``errors``; return when it was asked for."""
    left, asked_at = list(errors), list[float]()

    def page(cursor: Cursor | None) -> Page:
        n = number_of(cursor)
        if n == 2:
            asked_at.append(clock.now())
            if left:
                raise left.pop(0)
        return Page(records=[apple(n)], cursor={"n": n + 1} if n < 3 else None)

    fetcher.orchard.script["apples"] = page
    return asked_at


def tables(fetcher: Fetcher, answer: Callable[[str, Cursor | None], Page]) -> None:
    fetcher.orchard.roots["apples"] = (Part(id="list", name="the list of tables", lists=True),)
    fetcher.orchard.of_part["list"] = lambda _: Page(records=[], cursor=None, parts=named(*TABLES))
    for table in TABLES:
        fetcher.orchard.of_part[table] = partial(answer, table)


@pytest.mark.parametrize("meanwhile", [(), (LIMIT,) * 63, (AWAY,) * 63], ids=["", "limit", "auth"])
async def test_time_in_which_nobody_tried_does_not_count(
    fetcher: Fetcher, movable_clock: MovableClock, meanwhile: tuple[RetryLater, ...]
) -> None:
    failing(fetcher, DOWN, *meanwhile, DOWN)
    await fetcher.connect(1)
    for _ in range(3):
        await at_work(fetcher)
    if not meanwhile:
        movable_clock.move(hours=63)
    told = (await live_on(fetcher, movable_clock, most_s=70 * HOUR_S, step_s=HOUR_S + 1))["apples"]
    assert (told.state, told.items) == ("done", 4)


async def test_time_in_which_another_call_tried_for_it_counts(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    object.__setattr__(fetcher.context, "give_up_after_s", HOUR_S)
    failing(fetcher, *(DOWN,) * 9)
    await fetcher.connect(1)
    await at_work(fetcher)
    open_ = Circuit(clock.monotonic(), DOWN, next_call_at=clock.monotonic() + 2 * HOUR_S)
    fetcher.context.circuits.accounts["conn"] = open_
    movable_clock.move(seconds=1)
    await at_work(fetcher)
    movable_clock.move(seconds=2 * HOUR_S)
    told = (await live_on(fetcher, movable_clock, most_s=600))["apples"]
    assert "Gave up after trying for 2 hours" in (told.error.detail if told.error else "")


async def test_parts_of_which_two_try_for_all_are_given_up_in_time(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    def answer(table: str, cursor: Cursor | None) -> Page:
        raise REFUSED

    object.__setattr__(fetcher.context, "give_up_after_s", HOUR_S)
    fetcher.context.stopping.clear()
    tables(fetcher, answer)
    await fetcher.connect(1)
    told = (await live_on(fetcher, movable_clock, most_s=2 * HOUR_S, step_s=60))["apples"]
    assert (told.state, code(told)) == ("failed", TOKEN_REFUSED)


@pytest.mark.parametrize(
    "error",
    [
        REFUSED,
        RetryLater("The auth service does not answer.", code=AUTH_AWAY, after_s=3.0),
    ],
    ids=["401", "auth"],
)
async def test_overdue_parts_are_not_tried_without_a_wait_and_all_have_their_turn(
    fetcher: Fetcher, movable_clock: MovableClock, error: RetryLater
) -> None:
    asked: Counter[str] = Counter()
    broken = set(TABLES)

    def answer(table: str, cursor: Cursor | None) -> Page:
        asked[table] += 1
        if table in broken:
            raise error
        return rows(table)(cursor)

    fetcher.context.stopping.clear()
    tables(fetcher, answer)
    await fetcher.connect(1)
    await live_on(fetcher, movable_clock, most_s=300)
    movable_clock.move(seconds=2 * LONGEST_WAIT_S)
    asked.clear()
    await at_work(fetcher)
    assert asked.total() == 2
    broken -= set(TABLES[2:])
    await live_on(fetcher, movable_clock, most_s=900)
    assert {id_.partition("-")[0] for id_ in live(fetcher)} == set(TABLES[2:])


async def test_a_cursor_that_is_refused_for_a_while_is_tried_again_after_growing_waits(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    expired = Restart("The cursor has expired.")
    asked_at = failing(fetcher, *(expired,) * 15)
    await fetcher.connect(1)
    told = (await live_on(fetcher, movable_clock, most_s=2 * HOUR_S))["apples"]
    assert (told.state, told.items) == ("done", 4)
    waits = [later - earlier for earlier, later in pairwise(asked_at)]
    assert waits[0] <= 3 * STEP_S + 1, "the first time at once: one page in each step"
    assert max(waits) > LONGEST_WAIT_S / 3


async def test_a_page_further_than_before_is_no_refusal_in_a_row(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    """Each page's cursor is refused once, so the walk goes on by one page each time."""
    object.__setattr__(fetcher.context, "give_up_after_s", 60.0)
    refused: set[int] = set()

    def page(cursor: Cursor | None) -> Page:
        n = number_of(cursor)
        if n and n not in refused:
            refused.add(n)
            movable_clock.move(seconds=50)
            raise Restart("The cursor has expired.")
        return Page(records=[apple(n)], cursor={"n": n + 1} if n < 7 else None)

    fetcher.orchard.script["apples"] = page
    await fetcher.connect(1)
    told = (await live_on(fetcher, movable_clock, most_s=3000))["apples"]
    assert (told.state, told.items) == ("done", 8)


async def test_a_cursor_that_is_always_refused_is_given_up_by_time(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    object.__setattr__(fetcher.context, "give_up_after_s", HOUR_S)
    asked_at = failing(fetcher, *(Restart("The cursor has expired."),) * 999)
    await fetcher.connect(1)
    told = (await live_on(fetcher, movable_clock, most_s=3 * HOUR_S, step_s=120))["apples"]
    assert (told.state, code(told)) == ("incomplete", "cursor_expired")
    assert asked_at[-1] - asked_at[0] >= HOUR_S


async def test_a_list_whose_cursor_is_always_refused_is_given_up_too(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    object.__setattr__(fetcher.context, "give_up_after_s", HOUR_S)
    tables(fetcher, lambda table, cursor: rows(table)(cursor))

    def listed(cursor: Cursor | None) -> Page:
        if cursor:
            raise Restart("The cursor has expired.")
        return Page(records=[], cursor={"n": 1}, parts=named(*TABLES[:2]))

    fetcher.orchard.of_part["list"] = listed
    await fetcher.connect(1)
    told = (await live_on(fetcher, movable_clock, most_s=3 * HOUR_S, step_s=120))["apples"]
    assert (told.state, code(told), told.items) == ("incomplete", "cursor_expired", 4)


async def test_a_fault_of_ours_in_one_part_is_named_and_stops_no_other(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    asked: list[Cursor | None] = []

    def answer(table: str, cursor: Cursor | None) -> Page:
        if table == TABLES[1]:
            asked.append(cursor)
            if cursor:
                raise KeyError("fields")
        return rows(table)(cursor)

    tables(fetcher, answer)
    await fetcher.connect(1)
    told = (await live_on(fetcher, movable_clock, most_s=4000))["apples"]
    assert told.state == "incomplete"
    assert {id_.partition("-")[0] for id_ in live(fetcher)} == set(TABLES)
    (only,) = parts_of(told).named
    assert (only.part, only.outcome, only.code) == (TABLES[1], "failed", "internal")
    assert "KeyError" in only.detail
    assert "log" in only.remedy
    assert len(asked) == 1 + ATTEMPTS + 1


async def test_a_wait_that_the_provider_asks_for_before_it_counts_is_not_cut_short(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    counted: list[float] = []

    def weighs(_: Span | None) -> None:
        counted.append(clock.now())
        if len(counted) == 2:
            raise RetryLater("Orchard is moving.", after_s=HOUR_S)

    fetcher.orchard.counts.ids["apples"] = [*fetcher.orchard.ids["apples"], "9"]
    fetcher.orchard.counts.weighs = weighs
    await fetcher.connect(1)
    await live_on(fetcher, movable_clock, most_s=300)
    (job,) = await fetcher.unfinished()
    assert job.not_before is not None
    for sync in ("now", "sync-1"):
        if sync == "now":
            await fetcher.ask(sync)
        async with fetcher.database.write(lock="conn") as db:
            await plan_retry(db, RetrySync(sync_id="sync-1", connection_id="conn"))
        await at_work(fetcher)
    assert len(counted) == 2
    await live_on(fetcher, movable_clock, most_s=2 * HOUR_S)
    assert counted[2] - counted[1] >= HOUR_S
