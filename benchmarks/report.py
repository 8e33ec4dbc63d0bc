"""What the rounds say together: a table for people, a JSON file for comparing."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks.load import Round

RESULTS = Path(__file__).parent / "results"
LINES: tuple[tuple[str, str, Callable[[Round], float], str], ...] = (
    ("records per second", "", lambda one: one.per_second, ",.0f"),
    ("time of the whole load", "s", lambda one: one.seconds, ".2f"),
    ("first readable item, after the callback", "s", lambda one: one.first_item_s, ".2f"),
    ("CPU per item, product", "µs", lambda one: one.product_us, ".0f"),
    ("CPU per item, sandbox (not counted)", "µs", lambda one: one.sandbox_us, ".0f"),
    ("CPU per item, reading all of it back", "µs", lambda one: one.read_us, ".0f"),
    ("peak memory, product", "MB", lambda one: one.peak_mb, ".0f"),
    ("calls to the provider", "", lambda one: one.calls, ",.0f"),
    ("of them refused with 429", "", lambda one: one.refused, ",.0f"),
)


class Spread(msgspec.Struct, frozen=True):
    median: float
    lowest: float
    highest: float


def spread(values: Sequence[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))


def table(rounds: Sequence[Round]) -> str:
    """Medians and ranges, one line each."""
    heading = f"{'':40}{'median':>10}   lowest to highest of {len(rounds)}"
    return "\n".join((heading, *(_line(rounds, *line) for line in LINES)))


def _line(rounds: Sequence[Round], label: str, unit: str, value: Callable[[Round], float], form: str) -> str:
    found = spread([value(one) for one in rounds])
    median, lowest, highest = (format(number, form) for number in (found.median, found.lowest, found.highest))
    return f"{label:40}{median:>10} {unit:2} {lowest} to {highest}"


def machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def save(rounds: Sequence[Round], folder: Path = RESULTS) -> Path:
    """Returns the new file, named for the second it was made in (UTC)."""
    now = datetime.now(UTC)
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "at": now.isoformat(timespec="seconds"),
        "machine": machine(),
        "figures": {label: spread([value(one) for one in rounds]) for label, _, value, _ in LINES},
        "rounds": rounds,
    }
    path = folder / f"{now:%Y%m%dT%H%M%SZ}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2))
    return path
