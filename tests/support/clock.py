"""Move the clock of processes that were started with its file in ``TRIBUTARY_CLOCK_FILE``."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.clock import VARIABLE, arm_clock


class MovableClock:
    """A clock that is ahead of the machine's by the seconds in ``file``, or by 0 without a file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._ahead = float(file.read_text()) if file.exists() else 0.0

    @property
    def settings(self) -> dict[str, str]:
        """Return the environment variables for processes that are to go by this clock."""
        return {VARIABLE: str(self.file)}

    def now(self) -> float:
        """Return the processes' time in epoch seconds."""
        return time.time() + self._ahead

    def move(self, *, seconds: float = 0.0, hours: float = 0.0, days: float = 0.0) -> None:
        """Move the clock forward. Processes read it at once, and their sleepers wake in 50 ms."""
        step = seconds + 3_600 * hours + 86_400 * days
        if step < 0:
            raise ValueError("a clock can only be moved forward")
        self._ahead += step
        new, before = self.file.with_suffix(".new"), 0
        if self.file.exists():
            before = self.file.stat().st_mtime_ns
        new.write_text(repr(self._ahead))
        # Readers tell files apart by this time. The kernel's own stamps are a few milliseconds
        # apart, so two quick moves would look like one.
        written = max(time.time_ns(), before + 1)
        os.utime(new, ns=(written, written))
        new.replace(self.file)


@pytest.fixture
def movable_clock(tmp_path: Path) -> Iterator[MovableClock]:
    """Make the clock of the tests' own process movable; request this fixture before a database."""
    with own_clock(tmp_path / "clock") as clock:
        yield clock


@contextmanager
def own_clock(file: Path) -> Iterator[MovableClock]:
    """Make the clock of the tests' own process movable while the block runs.

    Statements that a database compiled earlier do not follow it.
    """
    clock = MovableClock(file)
    arm_clock(str(file))
    try:
        yield clock
    finally:
        arm_clock("")
