"""Random loads: 2,000 items of three types each, under the faults that a seed draws; equal to the ledger at the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from typing_extensions import override

from tests.chaos.chance import Plan, Step, plan
from tests.chaos.checker import Report
from tests.chaos.disturb import Disturber
from tests.chaos.load import Load, begin, pace
from tests.chaos.stack import Stack
from tests.chaos.topic import Topic

COUNTS = {"companies": 2000, "contacts": 2000, "deals": 2000}
LATENCY_MS = 120.0
CHANGE = {"create": 0.02, "update": 0.03, "archive": 0.025}
TOGETHER = 4
WITHIN_S = 120.0


class SeedFailed(Exception):
    """A load that did not end, or not as done; the message has the seed and its plan."""


@dataclass(frozen=True)
class Outcome:
    """``seconds`` from the consent to the last verdict."""

    plan: Plan
    report: Report
    seconds: float
    refetched: int
    pages: int

    @override
    def __str__(self) -> str:
        return f"{self.plan} -> {self.report} in {self.seconds:.1f} s, {self.refetched} of {self.pages} pages again"


class Seeds:
    """Runs plans side by side on one stack: each has an account and a connection of its own, all meet the faults."""

    def __init__(self, stack: Stack, topic: Topic, *, counts: dict[str, int] | None = None) -> None:
        self._stack, self._topic, self._counts = stack, topic, counts or COUNTS
        self._reading = threading.Lock()
        self._disturber = Disturber(stack)
        self._dead = [name for name in stack.children if name not in {"sandbox", *stack.extra}]
        self.loads: list[Load] = []
        pace(stack, latency_ms=LATENCY_MS)

    def run(self, seeds: Sequence[int], *, together: int = TOGETHER) -> Iterator[Outcome]:
        """As they end.

        Raises:
            SeedFailed: names the seed; seeds that have not begun are left out.
        """
        pool = ThreadPoolExecutor(together, thread_name_prefix="seed")
        try:
            for ended in as_completed([pool.submit(self.one, seed) for seed in seeds]):
                yield ended.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def one(self, seed: int) -> Outcome:
        drawn = plan(seed, dead=self._dead, cut=list(self._stack.proxies))
        print(drawn, flush=True)  # noqa: T201  # whoever has to reproduce it needs nothing else
        try:
            return self._outcome(drawn)
        except Exception as error:
            raise SeedFailed(f"{drawn}: {error}") from error

    def _outcome(self, drawn: Plan) -> Outcome:
        started = time.monotonic()
        load = begin(self._stack, self._counts, name=f"Seed {drawn.seed}")
        self.loads.append(load)
        self._disturbed(load, drawn.first)
        report = self._verdict(load)
        if drawn.changes and report.clean:
            load.change(**CHANGE)
            load.again()
            self._disturbed(load, drawn.second)
            report = self._verdict(load)
        return Outcome(drawn, report, time.monotonic() - started, load.refetched(), len(load.pages()))

    def _disturbed(self, load: Load, steps: Sequence[Step]) -> None:
        self._disturber.run(list(steps), since=time.monotonic())
        load.done(within=WITHIN_S)

    def _verdict(self, load: Load) -> Report:
        with self._reading:
            return load.verdict(self._topic)
