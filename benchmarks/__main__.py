"""``python -m benchmarks``: what loading 30,000 records costs, with the provider's limits off."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.load import COUNTS, Incomplete, Round, play
from benchmarks.processes import PRODUCT
from benchmarks.report import machine, save, table
from benchmarks.stages import summary


def main() -> int:
    given = _arguments()
    total = sum(COUNTS.values())
    print(f"{total:,} records, {given.rounds} rounds, each from nothing. {machine()}.", flush=True)
    command: tuple[str, ...] = (
        PRODUCT if given.profile is None else ("-m", "benchmarks.sampling", str(given.profile.resolve()))
    )
    rounds: list[Round] = []
    for number in range(1, given.rounds + 1):
        try:
            rounds.append(play(COUNTS, command))
        except Incomplete as error:
            print(f"Round {number} does not count. {error}", file=sys.stderr)
            return 1
        print(f"  round {number}: {rounds[-1].per_second:,.0f} records/s, every id as in the ledger", flush=True)
    print(f"\n{table(rounds)}\n")
    if given.profile is not None:
        print(summary(given.profile, per_item_us=rounds[-1].product_us))
        return 0
    print(f"Written to {save(rounds)}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often (default: 3)")
    parser.add_argument("--profile", type=Path, help=argparse.SUPPRESS)  # where the samples of the last round go
    given = parser.parse_args()
    if given.rounds < 1:
        parser.error("--rounds has to be at least 1")
    return given


if __name__ == "__main__":
    sys.exit(main())
