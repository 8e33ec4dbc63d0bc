"""Measure what we promise about faults: ``python -m tests.chaos`` writes docs/reliability.md.

Takes minutes to hours: ``--stack local --seeds 200``, then ``--stack real --seeds 25``.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.servers import ProgramUnavailable
from tests.chaos import figures
from tests.chaos.conftest import PROXIED, REAL
from tests.chaos.damage import measure
from tests.chaos.figures import Figure
from tests.chaos.real import RealStack
from tests.chaos.report import render, save
from tests.chaos.seeds import Outcome, SeedFailed, opened, run
from tests.chaos.stack import Stack, started

FIGURES: dict[str, Callable[[Stack], Figure]] = {
    "R3": figures.r3,
    "R4": figures.r4,
    "R5": figures.r5,
    "R6": figures.r6,
    "R8": figures.r8,
    "R9": figures.r9,
    "R11": figures.r11,
    "R12": figures.r12,
    "Q1": figures.q1,
}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m tests.chaos", description=__doc__)
    parser.add_argument("--stack", choices=("local", "real"), default="local")
    parser.add_argument("--seeds", type=int, default=25, help="how many random syncs (0: none)")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument(
        "--figures", default=",".join(FIGURES), help="which others to measure, with commas"
    )
    parser.add_argument(
        "--damage", type=int, metavar="PLACES", help="only damage stores; flip so many bits in each"
    )
    parser.add_argument("--render", action="store_true", help="only write the page anew")
    given = parser.parse_args(arguments)
    if not given.render:
        try:
            _measure(given)
        except ProgramUnavailable as reason:
            _say(f"Not measured: {reason}")
            return 2
    render()
    return 0


def _measure(given: argparse.Namespace) -> None:
    if given.damage is not None:
        found = []
        for one in measure(places=given.damage):
            _say(f"{one.store}, {one.kind}: {one.said}: {one.then}, {one.seconds:.1f} s")
            found.append(one.as_dict())
        _save("local", "damage", damage=found)
        return
    if given.seeds:
        with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
            _save(
                given.stack, "seeds", **_random(given.stack, Path(folder), given.first, given.seeds)
            )
    wanted = [name for name in given.figures.split(",") if name]
    if not wanted:
        return
    with (
        tempfile.TemporaryDirectory(prefix="chaos-") as folder,
        started(_stack(given.stack, Path(folder))) as stack,
    ):
        for name in wanted:
            figure = FIGURES[name](stack)
            _say(str(figure))
            _save(given.stack, name, figures=[figure.as_dict()])


def _stack(kind: str, folder: Path) -> Stack:
    if kind == "real":
        return RealStack(folder, fetchers=2, spare=2, proxied=REAL)
    return Stack(folder, fetchers=2, spare=2, proxied=PROXIED)


def _random(kind: str, folder: Path, first: int, count: int) -> dict[str, Any]:
    wanted, outcomes, failed = range(first, first + count), list[Outcome](), ""
    with opened(lambda place: _stack(kind, place), folder) as places:
        began = time.monotonic()
        try:
            for outcome in run(places, wanted):
                _say(str(outcome))
                outcomes.append(outcome)
        except SeedFailed as error:
            _say("\n".join(f"log of {name}\n{text}" for name, text in error.stack.logs().items()))
            failed = str(error)
        took = time.monotonic() - began
    clean = sum(outcome.report.clean for outcome in outcomes)
    chaos = _told(outcomes, took)
    return {
        "seeds": [outcome.plan.seed for outcome in outcomes],
        "chaos": chaos,
        "figures": [
            Figure(
                "R1",
                "random faults over 2,000 items of 3 types: equal to the ledger, every time",
                (
                    f"{clean} of {count} syncs equal, {took:.0f} s for "
                    f"all{': ' + failed if failed else ''}"
                ),
                clean == count,
                kind,
            ).as_dict()
        ],
    }


def _told(outcomes: list[Outcome], took: float) -> str:
    if not outcomes:
        return "None ended."
    kinds: Counter[str] = Counter()
    for one in outcomes:
        kinds.update(step.action for step in one.plan.first)
        if one.plan.changes:
            kinds.update(step.action for step in one.plan.second)
    listed = ", ".join(f"{count} {action}" for action, count in sorted(kinds.items()))
    again, pages = sum(one.refetched for one in outcomes), sum(one.pages for one in outcomes)
    median = statistics.median(one.seconds for one in outcomes)
    return (
        f"{listed}; {again} of {pages} pages read again; {median:.0f} s a sync (median), "
        f"{took / 60:.0f} min in all."
    )


def _save(kind: str, name: str, **result: Any) -> None:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    machine = (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}, Python "
        f"{platform.python_version()}"
    )
    date = datetime.now(UTC).date().isoformat()
    save(
        f"{kind}-{name}", {"stack": kind, "machine": machine, "date": date, "figures": [], **result}
    )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
