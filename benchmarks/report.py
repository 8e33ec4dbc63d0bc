"""Summarise the rounds: a table for people, a JSON file for comparisons."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks.load import Figures

RESULTS = Path(__file__).parent / "results"


class Spread(msgspec.Struct, frozen=True):
    median: float
    lowest: float
    highest: float


def spread(values: Sequence[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))


def table(results: Mapping[str, Sequence[Figures]]) -> str:
    """Return one line per figure and one column per scenario: median, lowest and highest round."""
    spreads = spreads_of(results)
    labels = list(dict.fromkeys(label for figures in spreads.values() for label in figures))
    cells = [["", *spreads], *(_row(label, spreads) for label in labels)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join((row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:]))) for row in cells
    )


def _row(label: str, spreads: Mapping[str, Mapping[str, Spread]]) -> list[str]:
    return [label, *(_cell(figures.get(label)) for figures in spreads.values())]


def spreads_of(results: Mapping[str, Sequence[Figures]]) -> dict[str, dict[str, Spread]]:
    return {name: _spreads(rounds) for name, rounds in results.items() if rounds}


def _spreads(rounds: Sequence[Figures]) -> dict[str, Spread]:
    found = {}
    for label in rounds[0]:
        found[label] = spread([figures[label] for figures in rounds])
    return found


def _cell(found: Spread | None) -> str:
    if found is None:
        return "-"
    digits = 0 if found.median >= 20 or found == Spread(0, 0, 0) else 2
    return f"{found.median:,.{digits}f} ({found.lowest:,.{digits}f} to {found.highest:,.{digits}f})"


def machine() -> str:
    return (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python "
        f"{platform.python_version()}"
    )


def save(subset: str, results: Mapping[str, Sequence[Figures]], folder: Path = RESULTS) -> Path:
    """Return the new file, named for the subset and the second it was made in (UTC)."""
    now = datetime.now(UTC)
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "at": now.isoformat(timespec="seconds"),
        "machine": machine(),
        "load": os.getloadavg(),
        "figures": spreads_of(results),
        "rounds": results,
    }
    path = folder / f"{subset}-{now:%Y%m%dT%H%M%SZ}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2))
    return path
