"""Limit requests as a provider does: so many within any window."""

from __future__ import annotations

from collections import defaultdict, deque

import msgspec

from shared.clock import monotonic


class Limit(msgspec.Struct, frozen=True):
    requests: int
    window_s: float
    penalty_s: float = 0.0
    """After a breach, every call is refused for this long."""


class Limiter:
    """Count requests in sliding windows per bucket and key.

    Windows go by the clock of all processes; the sandbox's own offset does not move them.
    """

    def __init__(self, defaults: dict[str, Limit]) -> None:
        self.defaults = defaults
        self.limits = dict(defaults)
        self.off = False
        self.latency_ms = 0.0
        self._taken: dict[tuple[str, str], deque[float]] = defaultdict(deque)
        self._penalty: dict[tuple[str, str], float] = {}

    def take(self, bucket: str, key: str) -> float | None:
        """Count one request; return None if it is allowed, else the seconds until one would be."""
        if self.off:
            return None
        limit, now = self.limits[bucket], monotonic()
        closed = self._penalty.get((bucket, key), 0.0) - now
        if closed > 0:
            return closed
        taken = self._within(bucket, key, now)
        if len(taken) < limit.requests:
            taken.append(now)
            return None
        if limit.penalty_s:
            self._penalty[bucket, key] = now + limit.penalty_s
        # If the limit was lowered, more than one request has to leave the window first.
        freed_by = taken[len(taken) - limit.requests] if limit.requests else now
        return max(limit.penalty_s, freed_by + limit.window_s - now)

    def remaining(self, bucket: str, key: str) -> int:
        return max(0, self.limits[bucket].requests - len(self._within(bucket, key, monotonic())))

    def reset(self) -> None:
        """Restore the provider's own limits, with nothing used up, no penalty and no latency."""
        self.limits = dict(self.defaults)
        self.off, self.latency_ms = False, 0.0
        self._taken.clear()
        self._penalty.clear()

    def _within(self, bucket: str, key: str, now: float) -> deque[float]:
        taken = self._taken[bucket, key]
        while taken and taken[0] <= now - self.limits[bucket].window_s:
            taken.popleft()
        return taken
