"""Tell the time to all processes: the machine's, unless tests move it.

``TRIBUTARY_CLOCK_FILE`` names a file with the number of seconds by which the clock is ahead of the
machine's. Replacing the file moves the clock of every process that was started with it. It only
goes forward. Without the variable this is the machine's clock.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

import structlog

VARIABLE: Final = "TRIBUTARY_CLOCK_FILE"
LOOK_S: Final = 0.05
"""The time between two looks at the file while anybody sleeps."""

log = structlog.get_logger()


class _Ahead:
    """The number in the file, read again when the file was replaced."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._seconds = 0.0
        self._read: tuple[int, int] | None = None

    def seconds(self) -> float:
        try:
            found = self.file.stat()
        except FileNotFoundError:
            return self._seconds
        seen = (found.st_mtime_ns, found.st_ino)
        if seen != self._read:
            self._seconds = max(self._seconds, float(self.file.read_text()))
            self._read = seen
        return self._seconds


_ahead: _Ahead | None = None


def arm_clock(file: str) -> None:
    """Let ``file`` move the clock of this process; an empty name leaves it the machine's."""
    global _ahead  # noqa: PLW0603  # a process has one clock
    _ahead = None
    if file:
        _ahead = _Ahead(Path(file))


def warn_if_movable() -> None:
    """Log that the tests can move the clock of this process; to be called once, when it starts."""
    if _ahead is not None:
        log.warning("clock_can_be_moved", file=str(_ahead.file), ahead_s=offset())


def movable() -> bool:
    return _ahead is not None


def offset() -> float:
    """Return by how many seconds the clock is ahead of the machine's."""
    return 0.0 if _ahead is None else _ahead.seconds()


def now() -> float:
    """Return epoch seconds."""
    return time.time() if _ahead is None else time.time() + _ahead.seconds()


def monotonic() -> float:
    """Return seconds that never go back, whatever happens to the machine's date.

    They jump when the clock is moved.
    """
    return time.monotonic() if _ahead is None else time.monotonic() + _ahead.seconds()


async def sleep(seconds: float) -> None:
    """Return after ``seconds``, sooner when the clock is moved past that moment."""
    if _ahead is None:
        await asyncio.sleep(seconds)
        return
    await _sleep_until(monotonic() + seconds)


def timeout(seconds: float) -> AbstractAsyncContextManager[object]:
    """Like ``asyncio.timeout``, but the time is also over when the clock is moved past its end."""
    return asyncio.timeout(seconds) if _ahead is None else _movable_timeout(seconds)


@asynccontextmanager
async def _movable_timeout(seconds: float) -> AsyncIterator[None]:
    async with asyncio.timeout(None) as limit:
        expiry = asyncio.create_task(_expire(limit, monotonic() + seconds), name="clock timeout")
        try:
            yield
        finally:
            expiry.cancel()


class _Sleepers:
    """The sleepers of an event loop, who are woken in time, or when the clock was moved past it.

    One look at the file serves all of them.
    """

    def __init__(self) -> None:
        self._ends: dict[asyncio.Future[None], float] = {}
        self._offset, self._looks = 0.0, False

    async def sleep_until(self, end: float) -> None:
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()
        self._ends[woken] = end
        timer = loop.call_later(max(0.0, end - monotonic()), _wake, woken)
        if not self._looks:
            self._look()
        try:
            await woken
        finally:
            timer.cancel()
            del self._ends[woken]

    def _look(self) -> None:
        before, self._offset = self._offset, offset()
        if self._offset != before:
            at = monotonic()
            for woken in [one for one, end in self._ends.items() if end <= at]:
                _wake(woken)
        self._looks = bool(self._ends)
        if self._looks:
            asyncio.get_running_loop().call_later(LOOK_S, self._look)


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)


_sleepers: WeakKeyDictionary[asyncio.AbstractEventLoop, _Sleepers] = WeakKeyDictionary()


async def _sleep_until(end: float) -> None:
    loop = asyncio.get_running_loop()
    sleepers = _sleepers.get(loop)
    if sleepers is None:
        sleepers = _sleepers[loop] = _Sleepers()
    await sleepers.sleep_until(end)


async def _expire(limit: asyncio.Timeout, end: float) -> None:
    await _sleep_until(end)
    limit.reschedule(asyncio.get_running_loop().time())
