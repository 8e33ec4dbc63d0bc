"""One quota for the whole fleet: sliding windows in Redis, taken in one round trip.

A bucket holds the times of its last permits, so a permit is given at the first moment at which no window of the
provider's would hold too many. A time up to ``HORIZON_S`` ahead is reserved and waited for; a later one is only told.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

HORIZON_S = 2.0
MARGIN_S = 0.25
"""Permits given apart arrive closer together: windows are taken this much longer than the provider's."""

_TAKE = """
local now = tonumber(ARGV[1])
local at = now
for i = 1, #KEYS / 2 do
  local closed = tonumber(redis.call('GET', KEYS[2 * i]) or '0')
  if closed > at then at = closed end
  local nth = redis.call('LINDEX', KEYS[2 * i - 1], -tonumber(ARGV[2 * i + 1]))
  if nth and tonumber(nth) + tonumber(ARGV[2 * i + 2]) > at then at = tonumber(nth) + tonumber(ARGV[2 * i + 2]) end
end
if at - now > tonumber(ARGV[2]) then return {0, tostring(at - now)} end
for i = 1, #KEYS / 2 do
  redis.call('RPUSH', KEYS[2 * i - 1], string.format('%.6f', at))
  redis.call('LTRIM', KEYS[2 * i - 1], -tonumber(ARGV[2 * i + 1]), -1)
  redis.call('PEXPIRE', KEYS[2 * i - 1], math.ceil(1000 * (tonumber(ARGV[2 * i + 2]) + tonumber(ARGV[2]))))
end
return {1, tostring(at - now)}
"""

log = structlog.get_logger()


class Window(msgspec.Struct, frozen=True):
    """At most ``requests`` in any ``window_s`` seconds, counted under ``key``."""

    key: str
    requests: int
    window_s: float

    def careful(self) -> tuple[int, float]:
        """A little less than allowed, so that jitter on the way does not break the limit."""
        return max(1, int(self.requests * 0.97) if self.requests >= 20 else self.requests), self.window_s + MARGIN_S


class Permit(msgspec.Struct, frozen=True):
    """``granted`` with ``wait_s`` to sleep first; or not granted, and ``wait_s`` says when to ask again."""

    granted: bool
    wait_s: float


class Quota:
    """Shared by all fetchers through Redis; alone and at half speed when Redis is away."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._take = redis.register_script(_TAKE)
        self._alone: dict[str, float] = defaultdict(float)

    async def permit(self, windows: Sequence[Window]) -> Permit:
        """Ask for one request in all ``windows`` at once."""
        if not windows:
            return Permit(granted=True, wait_s=0.0)
        keys = [key for window in windows for key in (f"quota:{window.key}", f"quota:{window.key}:closed")]
        sizes = [value for window in windows for value in window.careful()]
        try:
            granted, wait = await self._take(keys=keys, args=[repr(time.time()), HORIZON_S, *sizes])
        except RedisError as error:
            log.warning("quota_without_redis", error=type(error).__name__)
            return self._permit_alone(windows)
        return Permit(granted=bool(granted), wait_s=float(wait))

    async def close(self, keys: Sequence[str], seconds: float) -> None:
        """The provider said to wait: nobody asks in these windows for ``seconds``."""
        until = repr(time.time() + seconds)
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for key in keys:
                    _ = pipe.set(f"quota:{key}:closed", until, px=max(1, int(seconds * 1000)))
                await pipe.execute()
        except RedisError:
            for key in keys:
                self._alone[key] = time.time() + seconds

    def _permit_alone(self, windows: Sequence[Window]) -> Permit:
        now = time.time()
        at = max([now, *(self._alone[window.key] for window in windows)])
        if at - now > HORIZON_S:
            return Permit(granted=False, wait_s=at - now)
        for window in windows:
            self._alone[window.key] = at + 2 * window.window_s / window.requests
        return Permit(granted=True, wait_s=at - now)


async def wait(seconds: float) -> None:
    if seconds > 0:
        await asyncio.sleep(seconds)
