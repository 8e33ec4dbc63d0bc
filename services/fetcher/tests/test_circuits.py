"""A provider that does not answer is called by one job at a time, until it answers again."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from services.fetcher.circuits import LONGEST_S, SILENT_S, Circuits
from services.fetcher.plan import plan_retry
from services.fetcher.tests.crashing import Fetcher
from services.fetcher.tests.test_waiting_loads import at_work
from services.fetcher.tests.test_walks import number_of
from shared import clock
from shared.connector import Cursor, Page, Record, RetryLater
from shared.contracts.syncs import RetrySync
from tests.support.clock import MovableClock

DOWN = RetryLater("Orchard is not available (status 503).")
MOVING = RetryLater("Orchard moves the account.", of_account=True)
RESOURCES = ("apples", "pears", "plums", "figs")


def failing(circuits: Circuits, account: str, *parts: str, error: RetryLater = DOWN) -> None:
    circuits.active["orchard", account] = clock.monotonic()
    for part in parts:
        circuits.failed("orchard", account, part, error)


def is_held_back(circuits: Circuits, account: str) -> bool:
    return circuits.held_back("orchard", account) is not None


@pytest.fixture
def circuits(movable_clock: MovableClock) -> Circuits:
    """Return circuits of a provider with many accounts at work."""
    circuits = Circuits()
    for number in range(9):
        circuits.active["orchard", f"other {number}"] = clock.monotonic()
    return circuits


def test_an_account_is_left_alone_after_failures_of_two_parts_and_some_silence(
    circuits: Circuits, movable_clock: MovableClock
) -> None:
    failing(circuits, "a", "apples", "pears")
    assert not is_held_back(circuits, "a"), "it may be over in a moment"
    movable_clock.move(seconds=SILENT_S)
    failing(circuits, "b", "apples", "apples")
    movable_clock.move(seconds=SILENT_S)
    failing(circuits, "a", "apples")
    failing(circuits, "b", "apples")
    assert is_held_back(circuits, "a")
    assert not is_held_back(circuits, "b"), "one part alone may have a fault of its own"


def test_one_call_at_a_time_may_try_and_an_answer_lets_all_go_on(
    circuits: Circuits, movable_clock: MovableClock
) -> None:
    failing(circuits, "a", "apples")
    movable_clock.move(seconds=SILENT_S)
    failing(circuits, "a", "pears")
    held_back = circuits.held_back("orchard", "a")
    assert held_back is not None
    assert (held_back.reason, held_back.code) == (DOWN.reason, DOWN.code)
    movable_clock.move(seconds=held_back.seconds + 1)
    assert [is_held_back(circuits, "a") for _ in range(3)] == [False, True, True]
    circuits.answered("orchard", "a", None)
    assert not is_held_back(circuits, "a")


def test_three_accounts_hold_back_all_of_the_provider_s(
    circuits: Circuits, movable_clock: MovableClock
) -> None:
    for account in "abc":
        failing(circuits, account, "apples")
    assert not is_held_back(circuits, "other 1")
    movable_clock.move(seconds=SILENT_S)
    failing(circuits, "c", "apples")
    assert is_held_back(circuits, "other 1")
    circuits.answered("orchard", "other 2", MOVING)
    assert not is_held_back(circuits, "other 1"), "it answers, whatever it says"


def test_what_concerns_an_account_alone_holds_back_no_other(
    circuits: Circuits, movable_clock: MovableClock
) -> None:
    for _ in range(2):
        for account in "abcd":
            failing(circuits, account, "apples", "pears", error=MOVING)
        movable_clock.move(seconds=SILENT_S)
    failing(circuits, "a", "apples", error=MOVING)
    assert is_held_back(circuits, "a")
    assert not is_held_back(circuits, "other 1")


def test_fewer_accounts_are_enough_where_no_more_are_at_work(movable_clock: MovableClock) -> None:
    circuits = Circuits()
    failing(circuits, "a", "apples")
    movable_clock.move(seconds=SILENT_S)
    failing(circuits, "a", "apples")
    assert not is_held_back(circuits, "new")
    failing(circuits, "a", "pears")
    assert is_held_back(circuits, "new")


class Outage:
    """Four resources of a provider that answers nothing while ``down``. ``asked`` counts calls."""

    def __init__(self, fetcher: Fetcher) -> None:
        self.down = True
        self.asked: Counter[str] = Counter()
        for resource in RESOURCES:
            fetcher.orchard.of_part[resource] = partial(self._page, resource)

    def _page(self, resource: str, cursor: Cursor | None) -> Page:
        self.asked[resource] += 1
        if self.down:
            raise DOWN
        id_ = f"{resource}-{number_of(cursor)}"
        return Page(records=[Record(id=id_, name=id_, raw={})], cursor=None)


@pytest.fixture
async def fetcher(movable_clock: MovableClock, tmp_path: Path) -> AsyncIterator[Fetcher]:
    """Yield a fetcher whose jobs are deferred instead of sleeping: the test moves the clock."""
    fetcher = Fetcher(tmp_path, dict.fromkeys(RESOURCES, 1))
    await fetcher.boot()
    fetcher.context.stopping.set()
    yield fetcher
    await fetcher.database.close()


async def test_during_an_outage_few_calls_are_made_and_all_go_on_after_it(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    outage = Outage(fetcher)
    await fetcher.connect(1)
    for _ in range(20):
        await at_work(fetcher)
        movable_clock.move(seconds=30)
    outage.asked.clear()
    for _ in range(60):
        await at_work(fetcher)
        movable_clock.move(seconds=60)
    assert outage.asked.total() <= 3_600 / (LONGEST_S / 2) + len(RESOURCES)
    assert len(outage.asked) > 1, "the calls go round"
    outage.down = False
    for _ in range(20):
        movable_clock.move(seconds=60)
        await at_work(fetcher)
    assert {job.outcome for job in await fetcher.all_jobs() if job.kind == "load"} == {"done"}


async def test_what_somebody_asks_for_now_is_tried_now(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    outage = Outage(fetcher)
    await fetcher.connect(1)
    for _ in range(20):
        await at_work(fetcher)
        movable_clock.move(seconds=30)
    await at_work(fetcher)
    outage.down = False
    async with fetcher.database.write(lock="conn") as db:
        await plan_retry(db, RetrySync(sync_id="sync-1", connection_id="conn"))
    await at_work(fetcher)
    assert {job.outcome for job in await fetcher.all_jobs() if job.kind == "load"} == {"done"}
