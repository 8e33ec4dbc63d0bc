"""Slow down those who guess keys: after a few failures the wait doubles with each further one."""

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
"""Failures without a wait, since a key is sometimes pasted badly."""
# At fifteen minutes a guesser has about a hundred tries a day.
LONGEST_S: Final = 900.0
FORGOTTEN_S: Final = 3_600.0
"""Seconds without a failure after which a source starts afresh."""
# Somebody with many addresses must not fill the memory. What failed longest ago is forgotten first.
MOST: Final = 10_000


class _Failures(msgspec.Struct):
    count: int = 0
    last_at: float = 0.0
    blocked_until: float = 0.0


@final
class Throttle:
    """Counts failures per source, in this process only, for as long as it runs.

    A source is an address, or a key's public prefix. Blocking either would let a stranger lock
    others out (an address may be a whole office, and a prefix is no secret), so only wrong keys are
    slowed down. A right key has 238 random bits, which nobody guesses.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def failed(self, sources: Iterable[str]) -> None:
        """Count a failure of each source. Raise ``TooManyFailures`` while one of them must wait.

        A refused attempt is not counted, so waiting always helps.
        """
        now, sources = self._clock(), list(sources)
        wait = max(
            (self._failures[one].blocked_until - now for one in sources if one in self._failures),
            default=0.0,
        )
        if wait > 0:
            raise TooManyFailures(math.ceil(wait))
        for one in sources:
            self._count(one, now)

    def _count(self, source: str, now: float) -> None:
        known = self._failures.pop(source, None)
        if known is None or now - known.last_at > FORGOTTEN_S:
            known = _Failures()
        known.count += 1
        known.last_at = now
        if known.count >= FREE:
            # The exponent is capped too: a float overflows at 2**1024.
            known.blocked_until = now + min(2.0 ** min(known.count - FREE, 60), LONGEST_S)
        self._failures[source] = known
        if len(self._failures) > MOST:
            self._failures.popitem(last=False)


def address_source(host: str | None) -> str:
    """Return one source per IPv4 address and per IPv6 /64, the network of one customer."""
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return "address unknown"
    if isinstance(address, ipaddress.IPv6Address):
        # A socket for both families shows an IPv4 client as ::ffff:192.0.2.1.
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
