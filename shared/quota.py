"""Share one quota among all fetchers: sliding windows in Redis, by its clock, in one round trip.

A bucket holds the times of its last permits, future ones included. A permit is given for a moment
at which no window of the provider would hold too many. A moment up to ``HORIZON_S`` ahead is
reserved and waited for; for a later one the caller is told when to ask again.

Several connections may share a bucket. While others wait for it, each leaves them twice what they
have just had, up to an equal part: without that, the one with the most requests side by side would
get nearly all. What others do not want is anybody's.
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
PATIENCE_S: Final = 2.0
"""The time after its turn for which a connection still counts as waiting, or a window's length if
that is longer. A job that was told to come back needs some of it to be dispatched."""
MARGIN_S: Final = 0.25
"""Requests sent apart may arrive closer together, so our windows are this much longer than the
provider's."""

FORGET_S: Final = 86_400.0
"""The time after which a learned limit is forgotten, unless an answer has stated it again."""
REPEAT_S: Final = 3_600.0
"""The time after which a limit that has not changed is written again."""

_TAKE: Final = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000 + tonumber(ARGV[#ARGV])
local horizon, patience, who = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[4]
local at = now + tonumber(ARGV[3])
local windows, short = {}, {}

-- When the window has room for this caller: nil if it has room now.
local function room(permits, waiting, requests, window)
  redis.call('ZREMRANGEBYSCORE', permits, '-inf', string.format('%.6f', now - window))
  local free
  local nth = redis.call('ZREVRANGE', permits, requests - 1, requests - 1, 'WITHSCORES')
  if nth[2] then free = tonumber(nth[2]) + window end
  local used, rivals = {}, 0
  for _, one in ipairs(redis.call('ZRANGEBYSCORE', waiting, string.format('%.6f', now), '+inf')) do
    if one ~= who then used[one], rivals = 0, rivals + 1 end
  end
  if rivals == 0 then return free end
  local own = {}
  local all = redis.call('ZREVRANGE', permits, 0, -1, 'WITHSCORES')
  for i = 1, #all, 2 do
    local whose = string.match(all[i], '^[^:]*')
    if whose == who then own[#own + 1] = tonumber(all[i + 1]) end
    if used[whose] then used[whose] = used[whose] + 1 end
  end
  -- What a rival may want: more than it has just had, and at most its part.
  local part, left = math.ceil(requests / (rivals + 1)), requests
  for _, many in pairs(used) do left = left - math.min(part, 2 * many + 2) end
  local oldest = own[math.max(part, left)]
  if oldest then return math.max(free or 0, oldest + window) end
  return free
end

for i = 1, #KEYS / 4 do
  local requests, window = tonumber(ARGV[2 * i + 4]), tonumber(ARGV[2 * i + 5])
  local told = redis.call('MGET', KEYS[4 * i - 2], KEYS[4 * i - 1])
  at = math.max(at, tonumber(told[1] or '0'))
  if told[2] then
    local most, length = string.match(told[2], '(%S+) (%S+)')
    requests, window = tonumber(most), tonumber(length)
  end
  windows[i] = window
  if requests > 0 then
    local free = room(KEYS[4 * i - 3], KEYS[4 * i], requests, window)
    if free and free > now then
      short[i] = KEYS[4 * i]
      at = math.max(at, free)
    end
  end
end
for i, waiting in pairs(short) do
  local counts_until = at + math.max(patience, windows[i])
  redis.call('ZADD', waiting, string.format('%.6f', counts_until), who)
  redis.call('ZREMRANGEBYSCORE', waiting, '-inf', string.format('%.6f', now))
  redis.call('PEXPIRE', waiting, math.ceil(1000 * (counts_until - now)))
end
if at - now > horizon then return {0, tostring(at - now)} end
for i = 1, #KEYS / 4 do
  if windows[i] > 0 then
    redis.call('ZADD', KEYS[4 * i - 3], string.format('%.6f', at), ARGV[5])
    redis.call('PEXPIRE', KEYS[4 * i - 3], math.ceil(1000 * (windows[i] + horizon)))
  end
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
    """At most ``requests`` in any ``window_s`` seconds, counted under ``key``.

    ``requests`` None: nobody knows how many. Such a window can only be closed.
    """

    key: str
    requests: int | None
    window_s: float

    def careful(self) -> tuple[int, float]:
        """A little less than allowed, so that jitter on the way does not break the limit.

        (0, 0) for a window of which only closings are known.
        """
        if self.requests is None:
            return 0, 0.0
        most = int(self.requests * 0.97) if self.requests >= 20 else self.requests
        return max(1, most), self.window_s + MARGIN_S

    @property
    def names(self) -> tuple[str, str, str, str]:
        """Return the names in Redis of its permits, closing, learned limit, and who waits."""
        return (
            f"quota:{self.key}",
            f"quota:{self.key}:closed",
            f"quota:{self.key}:limit",
            f"quota:{self.key}:waiting",
        )


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
        self._redis = redis
        self._scripts = None if redis is None else Scripts(redis)
        self._alone: dict[str, float] = defaultdict(float)
        self._closed: dict[str, float] = {}
        """Key → when it opens again. Known here too, so that nothing changes when Redis comes or
        goes."""
        self._learned: dict[str, tuple[Window, float]] = {}
        """Key → the limit that an answer stated, and when it was last written to Redis."""
        self._permits = count()
        self._name = uuid4().hex

    async def permit(self, windows: Sequence[Window], connection_id: str) -> Permit:
        """Ask for one request in all ``windows`` at once, on behalf of a connection."""
        if not windows:
            return Permit(granted=True, wait_s=0.0)
        now, keys = clock.now(), [window.key for window in windows]
        earliest = now + self._closed_here(keys)
        if self._scripts is None:
            return self._permit_alone(windows, now, earliest)
        sizes = [value for window in windows for value in self._known(window).careful()]
        arguments = [
            HORIZON_S,
            PATIENCE_S,
            repr(earliest - now),
            connection_id,
            f"{connection_id}:{self._name}:{next(self._permits)}",
            *sizes,
            clock.offset(),
        ]
        names = [name for window in windows for name in window.names]
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

    async def learn(self, window: Window) -> None:
        """Replace what is known of a window by what the provider has just stated, for everyone."""
        told, written_at = self._learned.get(window.key, (None, 0.0))
        now = clock.now()
        if told == window and now - written_at < REPEAT_S:
            return
        self._learned[window.key] = (window, now)
        if self._redis is None:
            return
        most, window_s = window.careful()
        try:
            limit = window.names[2]
            await self._redis.set(limit, f"{most} {window_s!r}", px=int(1000 * FORGET_S))
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
        for window in map(self._known, windows):
            if window.requests is not None:
                self._alone[window.key] = at + 2 * window.window_s / window.requests
        return Permit(granted=True, wait_s=at - now)

    def _known(self, window: Window) -> Window:
        """Return the window as this process knows it; Redis may know of a newer limit."""
        return self._learned.get(window.key, (window, 0.0))[0]


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
