"""Wait for something to become true: the only place where tests sleep."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any, Final

PATIENCE_S: Final = 90.0
"""Ends a test that would wait for ever. It says nothing about how fast anything is."""


def eventually(check: Callable[..., Any], *, within: float = PATIENCE_S, every: float = 0.1) -> Any:
    """Return the first truthy answer of ``check``; fail with its last answer after ``within`` seconds."""
    end = time.monotonic() + within
    while not (found := check()):
        _give_up(end, within, found)
        time.sleep(every)
    return found


async def until(
    check: Callable[[], Any], *, within: float = PATIENCE_S, every: float = 0.01
) -> Any:
    """Return the first truthy answer of ``check``, awaited if need be; fail as ``eventually`` does."""
    end = time.monotonic() + within
    while not (found := await _answer(check)):
        _give_up(end, within, found)
        await asyncio.sleep(every)
    return found


async def _answer(check: Callable[[], Any]) -> Any:
    answer = check()
    return await answer if inspect.isawaitable(answer) else answer


def _give_up(end: float, within: float, found: Any) -> None:
    if time.monotonic() > end:
        raise AssertionError(f"not within {within} s; the last answer was {found!r}")
