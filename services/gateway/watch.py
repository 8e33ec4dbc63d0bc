"""Wakes who waits for the read model to change, in this process; others look again every ``POLL_S``."""

from __future__ import annotations

import asyncio
from contextlib import suppress

POLL_S = 0.5


class Watch:
    """``changed`` wakes every waiter; a waiter that misses it looks again by itself."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def changed(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def wait(self, seconds: float = POLL_S) -> None:
        """Return at the next change, or after ``seconds``."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await waiter
        self._waiters.discard(waiter)
