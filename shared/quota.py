"""Share one quota among all fetchers: sliding windows in Redis, by its clock, in one round trip.

A bucket holds the times of its last permits, future ones included. A permit is given for a moment
at which no window of the provider would hold too many. A moment up to ``HORIZON_S`` ahead is
reserved and waited for; for a later one the caller is told when to ask again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import count
from typing import Final
from uuid import uuid4

import msgspec
import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError

from shared import clock
from shared.settings import SecretStr

HORIZON_S: Final = 2.0
WAIT_S: Final = 2.0
"""The longest wait for Redis. After that it counts as away."""
MARGIN_S: Final = 0.25
"""Requests sent apart may arrive closer together, so our windows are this much longer than the
provider's."""

_TAKE: Final = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000 + tonumber(ARGV[#ARGV])
local horizon = tonumber(ARGV[1])
local at = now + tonumber(ARGV[2])
for i = 1, #KEYS / 2 do
  local requests, window = tonumber(ARGV[2 * i + 2]), tonumber(ARGV[2 * i + 3])
  at = math.max(at, tonumber(redis.call('GET', KEYS[2 * i]) or '0'))
  redis.call('ZREMRANGEBYSCORE', KEYS[2 * i - 1], '-inf', string.format('%.6f', now - window))
  local nth = redis.call('ZREVRANGE', KEYS[2 * i - 1], requests - 1, requests - 1, 'WITHSCORES')
  if nth[2] then at = math.max(at, tonumber(nth[2]) + window) end
end
if at - now > horizon then return {0, tostring(at - now)} end
for i = 1, #KEYS / 2 do
  redis.call('ZADD', KEYS[2 * i - 1], string.format('%.6f', at), ARGV[3])
  redis.call('PEXPIRE', KEYS[2 * i - 1], math.ceil(1000 * (tonumber(ARGV[2 * i + 3]) + horizon)))
end
return {1, tostring(at - now)}
"""
_CLOSE: Final = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000 + tonumber(ARGV[#ARGV])
local opens = now + tonumber(ARGV[1])
for i = 1, #KEYS do
  if opens > tonumber(redis.call('GET', KEYS[i]) or '0') then
    local lasts_ms = math.max(1, math.ceil(1000 * tonumber(ARGV[1])))
    redis.call('SET', KEYS[i], string.format('%.6f', opens), 'PX', lasts_ms)
  end
end
"""
_CLOSED: Final = """
local time, left = redis.call('TIME'), 0
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000 + tonumber(ARGV[#ARGV])
for i = 1, #KEYS do left = math.max(left, tonumber(redis.call('GET', KEYS[i]) or '0') - now) end
return tostring(left)
"""

log = structlog.get_logger()


class Window(msgspec.Struct, frozen=True):
    """At most ``requests`` in any ``window_s`` seconds, counted under ``key``."""

    key: str
    requests: int
    window_s: float

    def careful(self) -> tuple[int, float]:
        """A little less than allowed, so that jitter on the way does not break the limit."""
        return max(
            1, int(self.requests * 0.97) if self.requests >= 20 else self.requests
        ), self.window_s + MARGIN_S


class Permit(msgspec.Struct, frozen=True):
    """The answer to a request for a permit.

    If ``granted``, sleep ``wait_s`` seconds first. If not, ask again after ``wait_s``.
    """

    granted: bool
    wait_s: float


class Scripts:
    """The Lua scripts that a quota runs in Redis."""

    def __init__(self, redis: Redis) -> None:
        self.take = redis.register_script(_TAKE)
        self.close = redis.register_script(_CLOSE)
        self.closed = redis.register_script(_CLOSED)


class Quota:
    """Grant permits, shared by all fetchers through Redis.

    Without Redis, or while it is away, each fetcher counts alone, at half speed.
    """

    def __init__(self, redis: Redis | None) -> None:
        self._scripts = None if redis is None else Scripts(redis)
        self._alone: dict[str, float] = defaultdict(float)
        self._closed: dict[str, float] = {}
        """Key → when it opens again. Known here too, so that nothing changes when Redis comes or
        goes."""
        self._permits = count()
        self._name = uuid4().hex

    async def permit(self, windows: Sequence[Window]) -> Permit:
        """Ask for one request in all ``windows`` at once."""
        if not windows:
            return Permit(granted=True, wait_s=0.0)
        now, keys = clock.now(), [window.key for window in windows]
        earliest = now + self._closed_here(keys)
        if self._scripts is None:
            return self._permit_alone(windows, now, earliest)
        sizes = [value for window in windows for value in window.careful()]
        arguments = [
            HORIZON_S,
            repr(earliest - now),
            f"{self._name}:{next(self._permits)}",
            *sizes,
            clock.offset(),
        ]
        names = [name for key in keys for name in (f"quota:{key}", f"quota:{key}:closed")]
        try:
            granted, seconds = await self._scripts.take(keys=names, args=arguments)
        except RedisError as error:
            log.warning("quota_without_redis", error=type(error).__name__)
            return self._permit_alone(windows, now, earliest)
        return Permit(granted=bool(granted), wait_s=float(seconds))

    async def close(self, keys: Sequence[str], seconds: float) -> None:
        """Let nobody send in these windows for ``seconds``, because the provider said to wait.

        A longer closing stays in force.
        """
        until = clock.now() + seconds
        for key in keys:
            self._closed[key] = max(until, self._closed.get(key, 0.0))
        if not keys or self._scripts is None:
            return
        try:
            names = [f"quota:{key}:closed" for key in keys]
            await self._scripts.close(keys=names, args=[repr(seconds), clock.offset()])
        except RedisError as error:
            log.warning("quota_without_redis", error=type(error).__name__)

    async def closed(self, keys: Sequence[str]) -> float:
        """Return the seconds until the last of these windows opens again.

        A window may be closed while the holder of a permit waits.
        """
        here = self._closed_here(keys)
        if not keys or self._scripts is None:
            return here
        try:
            names = [f"quota:{key}:closed" for key in keys]
            there = await self._scripts.closed(keys=names, args=[clock.offset()])
            return max(here, float(there))
        except RedisError:
            return here

    def _closed_here(self, keys: Sequence[str]) -> float:
        now, longest = clock.now(), 0.0
        for key in keys:
            left = self._closed.get(key, 0.0) - now
            if left <= 0:
                self._closed.pop(key, None)
            longest = max(longest, left)
        return longest

    def _permit_alone(self, windows: Sequence[Window], now: float, earliest: float) -> Permit:
        at = max([earliest, *(self._alone[window.key] for window in windows)])
        if at - now > HORIZON_S:
            return Permit(granted=False, wait_s=at - now)
        for window in windows:
            self._alone[window.key] = at + 2 * window.window_s / window.requests
        return Permit(granted=True, wait_s=at - now)


async def wait(seconds: float) -> None:
    """Sleep slightly longer than told: the exact moment may still count as too early."""
    if seconds > 0:
        await clock.sleep(seconds + 0.002)


def open_redis(url: SecretStr) -> Redis:
    """Return a client that gives up soon, so that quotas continue without Redis."""
    pool = BlockingConnectionPool.from_url(
        url.reveal(),
        max_connections=50,
        timeout=WAIT_S,
        socket_timeout=WAIT_S,
        socket_connect_timeout=WAIT_S,
    )
    return Redis.from_pool(pool)
