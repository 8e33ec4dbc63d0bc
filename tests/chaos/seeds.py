"""Load 2,000 items of three types under the faults that each seed draws.

At the end they must equal the provider's ledger.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from typing_extensions import override

from tests.chaos.chance import Plan, Step, plan
from tests.chaos.checker import Report
from tests.chaos.disturb import Disturber
from tests.chaos.load import Load, begin, pace
from tests.chaos.stack import Stack, started
from tests.chaos.topic import Topic

COUNTS = {"companies": 2000, "contacts": 2000, "deals": 2000}
LATENCY_MS = 120.0
CHANGE = {"create": 0.02, "update": 0.03, "archive": 0.025}
STACKS = 2
"""A fault stops all loads of a stack for seconds; those of the other stack go on meanwhile."""
TOGETHER = 3
"""Loads that run on one stack at once."""


class SeedFailed(Exception):
    """Fail because a load did not end, or not as done; the message has the seed and its plan.

    ``stack`` is where it ran.
    """

    def __init__(self, why: str, *, stack: Stack) -> None:
        super().__init__(why)
        self.stack = stack


@dataclass(frozen=True)
class Outcome:
    """Hold the result of a seed; ``seconds`` run from the consent to the last verdict."""

    plan: Plan
    report: Report
    seconds: float
    refetched: int
    pages: int

    @override
    def __str__(self) -> str:
        return (
            f"{self.plan} -> {self.report} in {self.seconds:.1f} s, {self.refetched} of "
            f"{self.pages} pages again"
        )


class Seeds:
    """Run the plans of seeds on one stack; each has its own account, all meet the faults."""

    def __init__(self, stack: Stack, topic: Topic) -> None:
        self._stack, self._topic = stack, topic
        self._reading = threading.Lock()
        self._disturber = Disturber(stack)
        self._dead = [name for name in stack.children if name not in {"sandbox", *stack.extra}]
        self._loads: list[Load] = []
        pace(stack, latency_ms=LATENCY_MS)

    def one(self, seed: int) -> Outcome:
        drawn = plan(seed, dead=self._dead, cut=list(self._stack.proxies))
        print(drawn, flush=True)  # noqa: T201  # whoever has to reproduce it needs nothing else
        try:
            return self._outcome(drawn)
        except Exception as error:
            raise SeedFailed(f"{drawn}: {error}", stack=self._stack) from error

    def clean_afresh(self) -> None:
        """Judge all loads once more, by a topic that is read anew from offset 0."""
        with self._stack.topic() as topic:
            for load in self._loads:
                load.clean(topic)

    def _outcome(self, drawn: Plan) -> Outcome:
        started = time.monotonic()
        load = begin(self._stack, COUNTS, name=f"Seed {drawn.seed}")
        self._loads.append(load)
        self._disturbed(load, drawn.first)
        report = self._verdict(load)
        if drawn.changes and report.clean:
            load.change(**CHANGE)
            load.again()
            self._disturbed(load, drawn.second)
            report = self._verdict(load)
        return Outcome(
            drawn, report, time.monotonic() - started, load.refetched(), len(load.pages())
        )

    def _disturbed(self, load: Load, steps: Sequence[Step]) -> None:
        self._disturber.run(list(steps), since=time.monotonic())
        load.done()

    def _verdict(self, load: Load) -> Report:
        with self._reading:
            return load.verdict(self._topic)


def run(
    places: Sequence[Seeds], seeds: Sequence[int], *, together: int = TOGETHER
) -> Iterator[Outcome]:
    """Run seeds side by side, each wherever there is room; yield outcomes as they end.

    Raises:
        SeedFailed: names the seed; seeds that have not begun are left out.
    """
    rooms: SimpleQueue[Seeds] = SimpleQueue()
    for place in [*places] * together:
        rooms.put(place)

    def one(seed: int) -> Outcome:
        place = rooms.get()
        try:
            return place.one(seed)
        finally:
            rooms.put(place)

    pool = ThreadPoolExecutor(rooms.qsize(), thread_name_prefix="seed")
    try:
        for ended in as_completed([pool.submit(one, seed) for seed in seeds]):
            yield ended.result()
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def opened(make: Callable[[Path], Stack], folder: Path) -> Iterator[list[Seeds]]:
    """Yield stacks that have started, for ``run``; all are gone at the end."""
    with ExitStack() as held:
        places = []
        for number in range(STACKS):
            stack = held.enter_context(started(make(folder / f"stack{number + 1}")))
            places.append(Seeds(stack, held.enter_context(stack.topic())))
        yield places
