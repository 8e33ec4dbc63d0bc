"""Wait for something to become true.

Tests sleep here and nowhere else: tests/structure/test_tests.py checks that.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any, Final

PATIENCE_S: Final = 240.0
"""Ends a test that would wait for ever. It says nothing about how fast anything is."""


SHARE: Final = 8
"""The pause before another look is one part in so many of the time waited so far. Each look costs
time, also of the process that is looked at."""
SELDOM_S: Final = 0.5


def eventually(check: Callable[..., Any], *, within: float = PATIENCE_S, every: float = 0.1) -> Any:
    """Return the first truthy answer of ``check``, asked at first every so many seconds.

    Raises:
        AssertionError: none came in ``within`` seconds; it shows the last answer.
    """
    began = time.monotonic()
    while not (found := check()):
        _give_up(began + within, within, found)
        waited = time.monotonic() - began
        time.sleep(max(every, min(waited / SHARE, SELDOM_S)))
    return found


async def until(
    check: Callable[[], Any], *, within: float = PATIENCE_S, every: float = 0.01
) -> Any:
    """Return the first truthy answer of ``check``, awaited if it has to be.

    Raises:
        AssertionError: none came in ``within`` seconds; it shows the last answer.
    """
    end = time.monotonic() + within
    while not (found := await _answer(check)):
        _give_up(end, within, found)
        await asyncio.sleep(every)
    return found


async def turns(count: int = 1) -> None:
    """Let the event loop's other tasks run for ``count`` turns, without waiting."""
    for _ in range(count):
        await asyncio.sleep(0)


async def next_millisecond() -> None:
    """Wait until the machine's clock shows another millisecond: stored times are no finer."""
    now = time.time_ns() // 1_000_000
    while time.time_ns() // 1_000_000 == now:  # noqa: ASYNC110  # nothing tells of the time
        await asyncio.sleep(0.000_2)


async def _answer(check: Callable[[], Any]) -> Any:
    answer = check()
    return await answer if inspect.isawaitable(answer) else answer


def _give_up(end: float, within: float, found: Any) -> None:
    if time.monotonic() > end:
        raise AssertionError(f"not true within {within} s; the last answer was {found!r}")
