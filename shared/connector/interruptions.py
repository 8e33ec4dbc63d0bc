"""What can happen to a page, besides success.

Interruption
├── RetryLater     the same page again, after a wait (a rate limit, a 5xx, a lost connection)
├── Restart        the cursor is no longer valid: the resource from its start
├── Reauthorize    the access token is not accepted
└── Reject         this resource cannot be loaded; says why, and which scope is missing
"""

from __future__ import annotations

import math
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from shared import clock

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_S: Final = 86_400.0
"""A day: no provider documents a longer wait, and a job must not sleep for ever on a typo."""


class Interruption(Exception):  # not every one is an error
    """A page that was not read. ``reason`` is a sentence for people, ``code`` for programs."""

    def __init__(self, reason: str, *, code: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class RetryLater(Interruption):
    """Try the same page again in ``after_s`` seconds, or after a growing wait when None.

    ``limit`` says that it was a rate limit: the request's buckets stay closed for that time, and it is no failure.
    """

    def __init__(
        self,
        reason: str,
        *,
        code: str = "unavailable",
        after_s: float | None = None,
        limit: bool = False,
    ) -> None:
        super().__init__(reason, code=code)
        self.after_s = after_s
        self.limit = limit


class Restart(Interruption):
    def __init__(self, reason: str, *, code: str = "cursor_expired") -> None:
        super().__init__(reason, code=code)


class Reauthorize(Interruption):
    def __init__(self, reason: str, *, code: str = "unauthorized") -> None:
        super().__init__(reason, code=code)


class Reject(Interruption):
    def __init__(self, reason: str, *, code: str = "rejected", scope: str | None = None) -> None:
        super().__init__(reason, code=code)
        self.scope = scope


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from a ``Retry-After`` header (RFC 9110 §10.2.3: seconds or an HTTP date), None when absent or odd."""
    raw = headers.get("retry-after", "").strip()
    if not raw:
        return None
    try:
        seconds = float(raw)
        return min(max(0.0, seconds), LONGEST_S) if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        return min(max(0.0, parsedate_to_datetime(raw).timestamp() - clock.now()), LONGEST_S)
    except ValueError:
        return None
