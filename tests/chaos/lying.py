"""Sync accounts of providers that lie as each seed draws, and compare with the ledger."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from typing_extensions import override

from tests.chaos.load import Load, begin, pace
from tests.chaos.stack import Stack
from tests.chaos.topic import Topic
from tests.support.client import ENDED, RESOURCES
from tests.support.waiting import eventually

COUNTS: Final = {
    "hubspot": {"companies": 40, "contacts": 120, "deals": 30},
    "notion": {"pages": 60, "data_sources": 4, "users": 5},
    "airtable": {"bases": 3, "tables": 6, "records": 90},
}
KEPT: Final = (0.0, 0.3, 0.7, 0.95)
"""Shares of its entries that a list keeps."""
TIMES: Final = (None, 1, 3)
"""Numbers of answers that lie; None means all of them."""
ROUNDS: Final = 2
"""Syncs of each seed during which the provider lies."""
Key = tuple[str, str]
"""Resource and id."""


@dataclass(frozen=True)
class Lied:
    """Hold the result of a seed: how its syncs ended, and what was wrong, in words."""

    seed: int
    provider: str
    states: tuple[str, ...]
    wrong: tuple[str, ...]

    @override
    def __str__(self) -> str:
        wrong = "; ".join(self.wrong) or "nothing wrong"
        return f"lying seed {self.seed} ({self.provider}): {', '.join(self.states)}: {wrong}"


class Liars:
    """Run seeds on one stack. A provider's lies hold for all of its accounts."""

    def __init__(self, stack: Stack, topic: Topic) -> None:
        self._stack, self._topic = stack, topic
        self._reading = threading.Lock()

    def run(self, seeds: Sequence[int]) -> Iterator[Lied]:
        """Yield the results: seeds of one provider after one another, those of others beside."""
        providers = sorted(COUNTS)
        with ThreadPoolExecutor(len(providers), thread_name_prefix="liar") as pool:
            shares = [
                pool.submit(self._all, provider, seeds[number :: len(providers)])
                for number, provider in enumerate(providers)
            ]
            for share in shares:
                yield from share.result()

    def _all(self, provider: str, seeds: Sequence[int]) -> list[Lied]:
        pace(self._stack, provider=provider)
        return [self._one(provider, seed) for seed in seeds]

    def _one(self, provider: str, seed: int) -> Lied:
        chance = Random(seed)  # repeats a seed, guards nothing
        honest(self._stack, provider)
        load = begin(self._stack, COUNTS[provider], provider=provider, name=f"Liar {seed}")
        load.done()
        states: list[str] = []
        wrong: list[str] = []
        for number in range(ROUNDS):
            load.change(
                update=0.05, archive=chance.choice((0.0, 0.05)), create=chance.choice((0.0, 0.05))
            )
            lie(
                self._stack,
                provider,
                keep=chance.choice(KEPT),
                seed=10 * seed + number,
                times=chance.choice(TIMES),
                method=chance.choice((None, "GET")),
            )
            ended = self._ended(load)
            states.append(ended["state"])
            wrong += self._wrong(load, ended)
        honest(self._stack, provider)
        states.append(self._ended(load)["state"])
        wrong += self._becomes_whole(load)
        wrong += self._deleted_alive(load)
        return Lied(seed, provider, tuple(states), tuple(wrong))

    def _ended(self, load: Load) -> dict[str, Any]:
        """Sync again; return the sync once it has ended. The clock is moved while it waits."""
        load.again()
        while (state := load.state())["state"] not in ENDED:
            if state["state"] == "waiting":
                self._stack.clock.move(seconds=11)
            eventually(lambda before=state: load.state() != before, every=0.05)
        return state

    def _wrong(self, load: Load, ended: dict[str, Any]) -> list[str]:
        """Return what must not be, although the provider lies."""
        wrong = self._deleted_alive(load)
        counted = {
            row["resource"]
            for row in ended["resources"]
            if row["state"] == "done" and row["receipt"]["counted_before"] is not None
        }
        with self._reading:
            findings = load.verdict(self._topic).findings
        return wrong + [
            f"{one.kind} {'/'.join(one.key)} ({one.where}), though its sync is done"
            for one in findings
            if one.kind in {"lost", "stale"} and one.key[0] in counted
        ]

    def _deleted_alive(self, load: Load) -> list[str]:
        living = ledger(load)
        with self._reading:
            gone = deleted(load, self._topic)
        return [f"deleted {'/'.join(key)}, which exists" for key in sorted(gone & living)]

    def _becomes_whole(self, load: Load) -> list[str]:
        """Wait until what is in question has been asked for, and return what is still wrong."""

        def verdict() -> list[str]:
            with self._reading:
                report = load.verdict(self._topic)
            return [] if report.clean else [str(report)]

        wrong = verdict()
        for _ in range(60):
            if not wrong:
                return []
            # Whatever is in question is asked for again after an hour.
            self._stack.clock.move(seconds=600)
            eventually(lambda: load.state()["state"] in ENDED, every=0.5)
            wrong = verdict()
        return wrong


def lie(
    stack: Stack,
    provider: str,
    *,
    keep: float,
    seed: int,
    times: int | None = None,
    method: str | None = None,
) -> None:
    """Let lists lie, batches and formulas of ids included; with a ``method`` only its calls."""
    match = {"path": "/*"} | ({"method": method} if method else {})
    fault: dict[str, Any] = {"match": match, "keep": keep, "seed": seed}
    fault |= {"times": times} if times else {}
    stack.client.control("PUT", f"{provider}/faults", json=[fault])


def honest(stack: Stack, provider: str) -> None:
    stack.client.control("PUT", f"{provider}/faults", json=[])


def ledger(load: Load) -> set[Key]:
    return {
        (resource, id_)
        for resource in RESOURCES[load.provider]
        for id_ in load.stack.client.ledger(load.provider, load.account, resource)
    }


def deleted(load: Load, topic: Topic) -> set[Key]:
    """Return what the topic has ever said is deleted, whatever came after."""
    topic.read_on()
    records = topic.records.get(load.id, [])
    return {(one.resource, one.id) for one in records if one.content is None}
