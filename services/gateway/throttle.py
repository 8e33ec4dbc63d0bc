"""Slows down who tries keys: after a few failures each further one costs twice the wait of the one before."""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final, final

import msgspec

from shared.clock import monotonic
from shared.errors import TributaryError

FREE: Final = 5
"""Failures that cost nothing: a key was pasted badly."""
LONGEST_S: Final = 900.0
FORGOTTEN_S: Final = 3_600.0
"""After this long without a failure, a source is as good as new."""
MOST: Final = 10_000


class _Failures(msgspec.Struct):
    count: int = 0
    last: float = 0.0
    until: float = 0.0


@final
class Throttle:
    """Counts in this process only, for as long as it runs.

    Failures are counted per source: an address, and a key's public prefix. Either would let a stranger lock others out
    (one address may be a whole office, a prefix is no secret), so only wrong keys are slowed down: at 238 random bits
    nobody guesses a right one.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def failed(self, sources: Iterable[str]) -> None:
        """Raises ``TooManyFailures`` while a source has to wait; what that refuses is not counted, so waiting helps."""
        now, sources = self._clock(), list(sources)
        wait = max(
            (self._failures[one].until - now for one in sources if one in self._failures),
            default=0.0,
        )
        if wait > 0:
            raise TooManyFailures(math.ceil(wait))
        for one in sources:
            self._count(one, now)

    def _count(self, source: str, now: float) -> None:
        known = self._failures.pop(source, None)
        if known is None or now - known.last > FORGOTTEN_S:
            known = _Failures()
        known.count += 1
        known.last = now
        if known.count >= FREE:
            known.until = now + min(2.0 ** min(known.count - FREE, 60), LONGEST_S)
        self._failures[source] = known
        if len(self._failures) > MOST:
            self._failures.popitem(last=False)


def address_source(host: str | None) -> str:
    """One source per IPv4 address and per IPv6 /64, which is what one customer of a network has."""
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return "address unknown"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return f"address {address.ipv4_mapped}"
        return f"address {ipaddress.ip_network((int(address), 64), strict=False)}"
    return f"address {address}"


class TooManyFailures(TributaryError):
    status = 429
    code = "too_many_failures"

    def __init__(self, wait_s: int) -> None:
        unit = "second" if wait_s == 1 else "seconds"
        super().__init__(f"Too many wrong keys were tried. Try again in {wait_s} {unit}.")
        self.headers = {"retry-after": str(wait_s)}
