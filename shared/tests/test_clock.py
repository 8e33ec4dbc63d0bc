"""The one clock: the machine's, until a test moves it for whoever asks or sleeps."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from shared import clock
from shared.process import read_settings
from shared.settings import SettingsError
from tests.support.clock import MovableClock

DAY_S = 86_400.0


def test_without_configuration_it_is_the_machines() -> None:
    before = time.time()
    now = clock.now()
    assert before <= now <= time.time()
    assert not clock.movable()
    assert clock.offset() == 0.0


def test_until_it_is_moved_it_is_the_machines(movable_clock: MovableClock) -> None:
    assert movable_clock.now() <= clock.now() <= time.time()


def test_both_times_jump_when_it_is_moved(movable_clock: MovableClock) -> None:
    now, monotonic = clock.now(), clock.monotonic()
    movable_clock.move(days=1)
    assert clock.now() >= now + DAY_S
    assert clock.monotonic() >= monotonic + DAY_S
    movable_clock.move(seconds=5)
    assert clock.offset() == DAY_S + 5


def test_each_of_many_moves_is_seen(movable_clock: MovableClock) -> None:
    for count in range(1, 201):
        movable_clock.move(seconds=1)
        assert clock.offset() == count


def test_it_never_goes_back(movable_clock: MovableClock) -> None:
    movable_clock.move(hours=1)
    assert clock.offset() == 3_600
    movable_clock.file.unlink()
    assert clock.offset() == 3_600
    MovableClock(movable_clock.file).move(seconds=1)
    assert clock.offset() == 3_600
    with pytest.raises(ValueError, match="forward"):
        movable_clock.move(seconds=-1)


async def test_who_sleeps_is_woken_by_a_move(movable_clock: MovableClock) -> None:
    sleeping = asyncio.create_task(clock.sleep(DAY_S))
    await asyncio.sleep(0)
    assert not sleeping.done()
    movable_clock.move(days=1)
    await sleeping


async def test_a_move_that_is_too_short_wakes_nobody(movable_clock: MovableClock) -> None:
    woken: list[str] = []

    async def sleep(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(name)

    long = asyncio.create_task(sleep("long", 2 * DAY_S))
    short = asyncio.create_task(sleep("short", DAY_S))
    await asyncio.sleep(0)
    movable_clock.move(days=1)
    await short
    assert woken == ["short"]
    movable_clock.move(days=1)
    await long


async def test_a_timeout_is_over_when_the_clock_has_passed_it(movable_clock: MovableClock) -> None:
    async def wait() -> None:
        async with clock.timeout(DAY_S):
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    movable_clock.move(days=1)
    with pytest.raises(TimeoutError):
        await waiting


async def test_what_ends_within_a_timeout_leaves_nothing_behind(
    movable_clock: MovableClock,
) -> None:
    async with clock.timeout(DAY_S):
        movable_clock.move(days=2)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_beyond_loopback_no_clock_can_be_moved(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRIBUTARY_HOST", "0.0.0.0")  # nothing listens
    monkeypatch.setenv(clock.VARIABLE, str(tmp_path / "clock"))
    with pytest.raises(SettingsError, match="loopback"):
        read_settings()
    assert not clock.movable()
    monkeypatch.setenv("TRIBUTARY_HOST", "localhost")
    try:
        read_settings()
        assert clock.movable()
    finally:
        clock.arm_clock("")


async def test_real_time_passes_too(movable_clock: MovableClock) -> None:
    start = clock.monotonic()
    await clock.sleep(0.06)
    assert clock.monotonic() >= start + 0.06
    with pytest.raises(TimeoutError):
        async with clock.timeout(0.01):
            await asyncio.Event().wait()
    assert clock.movable()
