"""Define what can be measured: each subset plays its scenarios in turn, round after round."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path

from benchmarks.installations import PRODUCT, one_process, processes
from benchmarks.load import COUNTS, Figures, load
from benchmarks.processes import Running
from benchmarks.reads import filled
from deploy.servers import ProgramUnavailable

Start = Callable[[Path], AbstractContextManager[Running]]
Results = dict[str, list[Figures]]
"""Scenario → its figures, one for each round."""
FETCHERS = (1, 2, 4)
SIZES = (10_000, 30_000, 90_000)
PROPERTIES = {"fifty properties": 0, "1,500 properties": 1500}
"""Scenario → properties of each object; 0 is the sandbox's own small number of them."""
LATENCIES_MS = (0, 100)


def of_load(rounds: int, command: Sequence[str] = PRODUCT) -> Results:
    """Load 30,000 records through the product in one process."""
    return _in_turn(
        rounds, {"one process": partial(_loaded, partial(one_process, command=command))}
    )


def of_properties(rounds: int) -> Results:
    """Load 3,000 records with few properties and with 1,500, of which most are left out."""
    counts = {name: count // 10 for name, count in COUNTS.items()}
    return _in_turn(
        rounds,
        {
            name: partial(_loaded, one_process, counts=counts, properties=count)
            for name, count in PROPERTIES.items()
        },
    )


def of_latency(rounds: int) -> Results:
    """Load the same from a provider that takes its time for each answer."""
    return _in_turn(
        rounds, {f"{ms} ms": partial(_loaded, one_process, latency_ms=ms) for ms in LATENCIES_MS}
    )


def of_memory(rounds: int) -> Results:
    """Measure the memory of a fetcher, alone in its process, for three sizes of account.

    It runs on the built-in broker and SQLite.
    """
    scenarios = {}
    for size in SIZES:
        counts = {name: count * size // 30_000 for name, count in COUNTS.items()}
        scenarios[f"{size:,}"] = partial(_loaded, processes, counts=counts)
    return _in_turn(rounds, scenarios)


def of_stack(rounds: int) -> Results:
    """Load 30,000 records on real Kafka, PostgreSQL and Redis, with one, two and four fetchers."""
    scenarios = {
        f"{count} fetcher{'s' * (count > 1)}": partial(processes, fetchers=count, real=True)
        for count in FETCHERS
    }
    return _in_turn(rounds, {name: partial(_loaded, start) for name, start in scenarios.items()})


def of_reads(rounds: int) -> Results:
    """Read pages of 50 of 100,000 items from a gateway of its own, on SQLite and on PostgreSQL."""
    starts: dict[str, Start] = {"SQLite": processes, "PostgreSQL": partial(processes, real=True)}
    with ExitStack() as stack:
        ready: dict[str, Callable[[], Figures]] = {}
        for name, start in starts.items():
            try:
                ready[name] = filled(stack.enter_context(_new(start)), "gateway")
            except ProgramUnavailable as reason:
                print(f"  {name}: left out. {reason}", file=sys.stderr)
        return _in_turn(rounds, ready)


SUBSETS: Mapping[str, Callable[[int], Results]] = {
    "load": of_load,
    "properties": of_properties,
    "latency": of_latency,
    "memory": of_memory,
    "reads": of_reads,
    "stack": of_stack,
}


def _in_turn(rounds: int, scenarios: Mapping[str, Callable[[], Figures]]) -> Results:
    """Play the scenarios round by round: a drift of the machine's speed then affects all."""
    results: Results = {name: [] for name in scenarios}
    for number in range(1, rounds + 1):
        for name, play in scenarios.items():
            results[name].append(play())
            print(f"  round {number}, {name}: done, every id as in the ledger", flush=True)
    return results


def _loaded(
    start: Start, counts: Mapping[str, int] = COUNTS, *, latency_ms: int = 0, properties: int = 0
) -> Figures:
    with _new(start) as running:
        return load(running, counts, latency_ms=latency_ms, properties=properties)


@contextmanager
def _new(start: Start) -> Iterator[Running]:
    """Yield a new folder; after a failure it stays, with the logs of all processes."""
    folder = Path(tempfile.mkdtemp(prefix="tributary-bench-"))
    try:
        with start(folder) as running:
            yield running
    except Exception:
        print(f"  The logs stay in {folder}", file=sys.stderr)
        raise
    shutil.rmtree(folder)
