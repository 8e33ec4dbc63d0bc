"""Measure what syncing and reading cost: ``python -m benchmarks``.

Limits are off, and every round checks every id.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.load import Incomplete
from benchmarks.report import machine, save, spread, table
from benchmarks.stages import summary
from benchmarks.subsets import SUBSETS, Results, of_load
from deploy.servers import ProgramUnavailable


def main() -> int:
    given = _arguments()
    print(f"{machine()}.", flush=True)
    if given.profile is not None:
        return _profiled(given.profile.resolve())
    return max(_measured(subset, given.rounds) for subset in given.subsets or SUBSETS)


def _measured(subset: str, rounds: int) -> int:
    measure = SUBSETS[subset]
    print(f"\n{subset}: {measure.__doc__}", flush=True)
    try:
        results = measure(rounds)
    except Incomplete as error:
        print(f"This does not count. {error}", file=sys.stderr)
        return 1
    except ProgramUnavailable as reason:
        print(f"Left out. {reason}", file=sys.stderr)
        return 0
    print(f"\n{table(results)}\n\nWritten to {save(subset, results)}", flush=True)
    return 0


def _profiled(out: Path) -> int:
    results: Results = of_load(1, ("-m", "benchmarks.sampling", str(out), "deploy.local"))
    print(f"\n{table(results)}\n")
    cpu = spread([figures["CPU per item: ours [µs]"] for figures in results["one process"]])
    print(summary(out, per_item_us=cpu.median))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    known = "; ".join(f"{name}: {measure.__doc__}" for name, measure in SUBSETS.items())
    parser.add_argument(
        "subsets",
        nargs="*",
        choices=[[], *SUBSETS],
        metavar="SUBSET",
        help=f"default: all. {known}",
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often (default: 3)")
    parser.add_argument(
        "--profile", type=Path, help=argparse.SUPPRESS
    )  # where the samples of one load go
    given = parser.parse_args()
    if given.rounds < 1:
        parser.error("--rounds has to be at least 1")
    return given


if __name__ == "__main__":
    sys.exit(main())
