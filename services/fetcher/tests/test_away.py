"""A provider that is away for half an hour in the middle of a load costs time, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from services.fetcher.tests.crashing import Fetcher
from services.fetcher.tests.test_waiting_loads import at_work
from services.fetcher.tests.test_walks import number_of
from shared import clock
from shared.connector import Cursor, Page, Record, RetryLater
from tests.support.clock import MovableClock

AWAY_S = 1_800.0
SIZE = 100
COUNTS = {"apples": 1_000, "pears": 600, "plums": 400}


class Absence:
    """A provider with ``counts`` of each resource that goes away once half of them were read.

    ``read`` counts how often each page was read, ``until`` is the end of the absence.
    """

    def __init__(self, fetcher: Fetcher, counts: dict[str, int]) -> None:
        self.read: Counter[tuple[str, int]] = Counter()
        self.until: float | None = None
        self._stopping, self._counts = fetcher.context.stopping, counts
        for resource in counts:
            fetcher.orchard.script[resource] = self._pages_of(resource)

    def _pages_of(self, resource: str) -> Callable[[Cursor | None], Page]:
        last = self._counts[resource] // SIZE - 1

        def page(cursor: Cursor | None) -> Page:
            n = number_of(cursor)
            if self.until is None and self.read.total() * SIZE >= sum(self._counts.values()) / 2:
                self.until = clock.now() + AWAY_S
                # So that no run sleeps in its slot: the test moves the clock between runs.
                self._stopping.set()
            if self.until is not None and clock.now() < self.until:
                raise RetryLater("Orchard is not available (status 503).")
            self._stopping.clear()
            self.read[resource, n] += 1
            ids = (f"{resource}-{n * SIZE + number:06}" for number in range(SIZE))
            records = [Record(id=id_, name=id_, raw={"id": id_}) for id_ in ids]
            return Page(records=records, cursor={"n": n + 1} if n < last else None)

        return page


async def loaded_meanwhile(
    folder: Path, movable_clock: MovableClock, counts: dict[str, int]
) -> tuple[Fetcher, Absence]:
    """Load everything, and move the clock on whenever all that is left waits."""
    fetcher = Fetcher(folder, counts)
    await fetcher.boot()
    absence = Absence(fetcher, counts)
    await fetcher.connect(1)
    await at_work(fetcher)
    while waiting := [job.waiting_until for job in await fetcher.unfinished()]:
        ends = min(until for until in waiting if until is not None)
        movable_clock.move(seconds=max(0.0, ends - clock.now()) + 0.1)
        await at_work(fetcher)
    return fetcher, absence


async def test_a_provider_that_is_away_for_half_an_hour_costs_time_and_nothing_else(
    movable_clock: MovableClock, tmp_path: Path
) -> None:
    began = movable_clock.now()
    fetcher, absence = await loaded_meanwhile(tmp_path, movable_clock, COUNTS)
    assert absence.until is not None
    assert movable_clock.now() - began > AWAY_S
    assert {job.outcome for job in await fetcher.all_jobs()} == {"done"}
    live = fetcher.log.live_items()
    assert {resource: len(ids) for resource, ids in live.items()} == COUNTS
    again = Counter(resource for (resource, _), times in absence.read.items() if times > 1)
    assert max(again.values(), default=0) <= 1
    await fetcher.database.close()
