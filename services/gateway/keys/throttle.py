"""Slows down who tries keys: after a few failures each further one costs twice the wait of the one before."""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final, final

import msgspec

from services.gateway.keys.refused import TooManyFailures

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
    (one address may be a whole office, a prefix is no secret), so a credential that was right lately passes whatever
    was tried around it: give ``check`` its digest.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, _Failures] = OrderedDict()
        self._right: OrderedDict[str, None] = OrderedDict()

    def check(self, sources: Iterable[str], digest: str) -> None:
        """Raises ``TooManyFailures``; what it refuses is not counted, so waiting helps."""
        if digest in self._right:
            return
        now = self._clock()
        wait = max((self._failures[one].until - now for one in sources if one in self._failures), default=0.0)
        if wait > 0:
            raise TooManyFailures(math.ceil(wait))

    def failed(self, sources: Iterable[str], digest: str) -> None:
        self._right.pop(digest, None)
        now = self._clock()
        for one in sources:
            known = self._failures.pop(one, None)
            if known is None or now - known.last > FORGOTTEN_S:
                known = _Failures()
            known.count += 1
            known.last = now
            if known.count >= FREE:
                known.until = now + min(2.0 ** min(known.count - FREE, 60), LONGEST_S)
            self._failures[one] = known
            if len(self._failures) > MOST:
                self._failures.popitem(last=False)

    def passed(self, digest: str) -> None:
        self._right[digest] = None
        self._right.move_to_end(digest)
        if len(self._right) > MOST:
            self._right.popitem(last=False)


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
