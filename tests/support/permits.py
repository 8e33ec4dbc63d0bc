"""Read the permits that a quota has recorded in Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis


async def recorded(redis: Redis, key: str) -> list[float]:
    """Return the times of the permits granted under ``key``, in epoch seconds of Redis's clock.

    Times taken at the client would be early by the duration of the call, which on a busy machine is
    longer than the margin of a window.
    """
    found: Any = await redis.zrange(f"quota:{key}", 0, -1, withscores=True)
    return [float(moment) for _, moment in found]


def most_within(moments: Sequence[float], window_s: float) -> int:
    """Return the highest number of moments within any ``window_s`` seconds."""

    def after(start: float) -> int:
        return sum(start <= at < start + window_s for at in moments)

    return max(map(after, moments), default=0)
