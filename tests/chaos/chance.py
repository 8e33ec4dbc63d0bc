"""Draw the faults of a seed (what happens, to whom, and when) before anything starts."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

Draw = Callable[[random.Random], dict[str, Any]]


@dataclass(frozen=True)
class Step:
    """Do one thing, ``at`` seconds after the load began; ``options`` belong to the action."""

    at: float
    action: str
    options: Mapping[str, Any]

    @override
    def __str__(self) -> str:
        told = " ".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.at:4.1f}s {self.action} {told}"


@dataclass(frozen=True)
class Plan:
    """Hold a seed's steps.

    ``changes`` says that objects change after the load, and are loaded again under their own
    faults.
    """

    seed: int
    first: Sequence[Step]
    changes: bool
    second: Sequence[Step]

    @override
    def __str__(self) -> str:
        steps = [
            *map(str, self.first),
            *(["then changes, and:", *map(str, self.second)] if self.changes else []),
        ]
        return f"seed {self.seed}: " + "; ".join(steps)


def plan(seed: int, *, dead: Sequence[str], cut: Sequence[str]) -> Plan:
    """Return a plan; ``dead`` may be killed or paused, ``cut`` are the things behind a proxy."""
    chance = random.Random(seed)
    actions: dict[str, tuple[int, Draw]] = {
        "kill": (
            4,
            lambda one: {"name": one.choice(dead), "gone_s": round(one.uniform(0.0, 1.0), 2)},
        ),
        "pause": (
            1,
            lambda one: {"name": one.choice(dead), "for_s": round(one.uniform(0.3, 2.0), 2)},
        ),
        "cut": (2, lambda one: {"name": one.choice(cut)}),
        "network": (
            2,
            lambda one: {
                "name": one.choice(cut),
                "mode": one.choice(
                    ("delay", "drop", "reset", "black hole", "truncate", "half-close")
                ),
                "for_s": round(one.uniform(0.2, 1.5), 2),
            },
        ),
        "provider": (
            3,
            lambda one: {
                "fault": one.choice(
                    ("429", "500", "503", "401", "cut before", "cut after", "slow")
                ),
                "times": one.randint(1, 3),
            },
        ),
    }
    weights = [weight for weight, _ in actions.values()]

    def steps(most: int, within_s: float) -> list[Step]:
        drawn = []
        for at in sorted(chance.uniform(0.0, within_s) for _ in range(chance.randint(1, most))):
            name = chance.choices(list(actions), weights)[0]
            drawn.append(Step(round(at, 1), name, actions[name][1](chance)))
        return drawn

    return Plan(seed, steps(4, 4.0), changes=chance.random() < 0.3, second=steps(2, 1.5))
