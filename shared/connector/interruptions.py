"""Define everything that can keep a page from being read, so that one ``match`` can act on it.

Interruption
├── RetryLater     read the same page again after a wait (a rate limit, a 5xx, no page at all)
├── Restart        the cursor is no longer valid: start the part again
├── Reauthorize    the provider does not accept the access token
└── Reject         this part cannot be read; says why, and which scope is missing
"""

from __future__ import annotations

import math
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from shared import clock

if TYPE_CHECKING:
    from collections.abc import Mapping

MALFORMED_PAGE: Final = "malformed_page"
"""The code for a 2xx answer that holds no page: it is not JSON, or has another shape. Retry it."""
LONGEST_S: Final = 86_400.0
"""The longest wait we accept: a day. The longest that any provider documents is 24 hours;
without a ceiling, one wrong header would put a job to sleep for years."""


class Interruption(Exception):  # not named …Error: a rate limit is not an error
    """A page was not read.

    ``reason`` says what happened and ``remedy`` what to do about it, both in sentences for people;
    ``code`` is for programs. ``too_much``: fewer records at once may get through.
    """

    def __init__(self, reason: str, *, code: str, remedy: str, too_much: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.remedy = remedy
        self.too_much = too_much


class RetryLater(Interruption):
    """Read the same page again in ``after_s`` seconds; None means after a growing wait.

    ``limit`` marks a rate limit: the request's buckets stay closed for that time, and it does not
    count as a failure. ``bucket`` names the one that closes, where the answer tells whose limit it
    was. ``of_account`` says that it concerns this account alone, and not the provider.
    """

    def __init__(
        self,
        reason: str,
        *,
        code: str = "unavailable",
        after_s: float | None = None,
        limit: bool = False,
        bucket: str | None = None,
        of_account: bool = False,
        too_much: bool = False,
        remedy: str = "There is nothing to do: we will try again.",
    ) -> None:
        super().__init__(reason, code=code, remedy=remedy, too_much=too_much)
        self.after_s = after_s
        self.limit = limit
        self.bucket = bucket
        self.of_account = of_account


class Restart(Interruption):
    """Start the part again: the provider no longer knows the cursor."""

    def __init__(self, reason: str, *, code: str = "cursor_expired") -> None:
        remedy = "There is nothing to do: we will read it again from the beginning."
        super().__init__(reason, code=code, remedy=remedy)


class Reauthorize(Interruption):
    """Get another access token: the provider does not accept this one."""

    def __init__(self, reason: str, *, code: str = "unauthorized") -> None:
        super().__init__(reason, code=code, remedy="Connect the account again.")


class Reject(Interruption):
    """Give up the part, and go on with the others.

    ``scope`` names the missing permission, when that is the cause. ``everything`` means that no
    other part would be answered either, so the whole walk is given up.
    """

    def __init__(
        self,
        reason: str,
        *,
        code: str = "rejected",
        scope: str | None = None,
        everything: bool = False,
        too_much: bool = False,
        remedy: str = "The next sync will try again.",
    ) -> None:
        super().__init__(reason, code=code, remedy=remedy, too_much=too_much)
        self.scope = scope
        self.everything = everything


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the wait in seconds that a ``Retry-After`` header asks for, at most ``LONGEST_S``.

    It holds seconds or an HTTP date (RFC 9110 §10.2.3). Return None when it is absent or
    unreadable.
    """
    raw = headers.get("retry-after", "").strip()
    if not raw:
        return None
    try:
        seconds = float(raw)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(raw).timestamp() - clock.now()
        except (ValueError, OverflowError):  # the date may be out of range
            return None
    # float() also reads "nan" and "inf".
    if not math.isfinite(seconds):
        return None
    return min(max(0.0, seconds), LONGEST_S)
