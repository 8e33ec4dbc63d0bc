"""Name every way in which a call to an authorization server can fail.

ProviderFailure
├── DeadGrant     the code or refresh token is no longer valid; a person has to consent again
├── BadClient     our own id, secret or redirect URI is wrong; never a reason to end a connection
├── Refused       any other 4xx answer
├── Away          certainly without effect: not reached, too many calls, a failure on their side
│   └── JustRefreshed  somebody exchanged this refresh token moments ago
└── Lost          sent, but no readable answer came: it may have had its effect
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
    """A call failed.

    ``code`` is the provider's word for it, for the log; ``outcome`` is counted.
    """

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
    """Return ``Lost`` when the request may have arrived, else ``Away``."""
    # Only a connection that was never made proves that nothing was sent.
    may_have_arrived = isinstance(error, Unreachable | BadBody | BodyTooLarge)
    if may_have_arrived and not isinstance(error.__context__, _NEVER_SENT):
        return Lost(error.code)
    return Away(error.code)


def answer_failure(response: HttpResponse, oauth: OAuth2) -> ProviderFailure:
    """Return what an answer with a status of 300 or more means."""
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
    if response.status == 401:
        return BadClient(code, status=response.status)
    return Refused(code, status=response.status)


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
