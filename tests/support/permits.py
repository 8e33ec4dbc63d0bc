"""The permits of a quota, as Redis has recorded them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis


async def recorded(redis: Redis, key: str) -> list[float]:
    """Return for when Redis has granted permits under ``key``: epoch seconds by its own clock.

    A client's clock would be too early by the time that the question took, which on a busy machine
    is longer than the margin of a window.
    """
    found: Any = await redis.zrange(f"quota:{key}", 0, -1, withscores=True)
    return [float(moment) for _, moment in found]


def most_within(moments: Sequence[float], window_s: float) -> int:
    """Return how many there are at most in any ``window_s`` seconds."""

    def after(start: float) -> int:
        return sum(start <= at < start + window_s for at in moments)

    return max(map(after, moments), default=0)
