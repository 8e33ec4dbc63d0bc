"""How a call to an authorization server can end, besides success.

ProviderFailure
├── DeadGrant     the code or refresh token is no longer good; a person has to consent again
├── BadClient     our own id, secret or redirect URI is wrong; never a reason to end a connection
├── Refused       any other answer of 4xx
├── Away          certainly without effect: not reached, too many calls, a failure on their side
│   └── JustRefreshed  this refresh token was exchanged moments ago, by whomever
└── Lost          sent, and no answer that can be read: it may have had its effect
"""

from __future__ import annotations

from typing import ClassVar, Final

import httpcore
import httpx

from shared.connector import OAuth2
from shared.http import BadBody, BodyTooLarge, HttpError, HttpResponse, Unreachable

_NEVER_SENT: Final = (
    httpcore.ConnectError,
    httpcore.ConnectTimeout,
    httpx.ConnectError,
    httpx.ConnectTimeout,
)


class ProviderFailure(Exception):
    """``code`` is the provider's own word, cut to 64 characters, for the log only; ``outcome`` is counted."""

    outcome: ClassVar = "refused"

    def __init__(self, code: str = "", *, status: int = 0, after_s: float | None = None) -> None:
        super().__init__(f"{type(self).__name__} {status or ''} {code[:64]!r}")
        self.code = code[:64]
        self.status = status
        self.after_s = after_s


class DeadGrant(ProviderFailure):
    outcome = "dead_grant"


class BadClient(ProviderFailure):
    outcome = "bad_client"


class Refused(ProviderFailure):
    pass


class Away(ProviderFailure):
    outcome = "away"


class JustRefreshed(Away):
    pass


class Lost(ProviderFailure):
    outcome = "lost"


def transport_failure(error: HttpError) -> ProviderFailure:
    """``Unreachable`` stands for both; only a connection that was never made proves that nothing was sent."""
    may_have_arrived = isinstance(error, Unreachable | BadBody | BodyTooLarge)
    if may_have_arrived and not isinstance(error.__context__, _NEVER_SENT):
        return Lost(error.code)
    return Away(error.code)


def answer_failure(response: HttpResponse, oauth: OAuth2) -> ProviderFailure:
    """For a status of 300 and more."""
    codes = _codes(response, oauth.error_fields)
    code = next(iter(codes), "")
    if response.status in oauth.refreshed_moments_ago:
        return JustRefreshed(code, status=response.status)
    if response.status == 429 or response.status >= 500:
        return Away(code, status=response.status, after_s=_retry_after(response))
    if oauth.bad_client.intersection(codes):
        return BadClient(code, status=response.status)
    if oauth.dead_grant.intersection(codes):
        return DeadGrant(code, status=response.status)
    # RFC 6749 §5.2: 401 answers a client that failed to authenticate.
    return (BadClient if response.status == 401 else Refused)(code, status=response.status)


def _codes(response: HttpResponse, fields: tuple[str, ...]) -> list[str]:
    try:
        body = response.json()
    except HttpError:
        return []
    if not isinstance(body, dict):
        return []
    return [body[field] for field in fields if isinstance(body.get(field), str)]


def _retry_after(response: HttpResponse) -> float | None:
    raw = response.headers.get("retry-after", "").strip()
    return float(raw) if raw.isdigit() else None
