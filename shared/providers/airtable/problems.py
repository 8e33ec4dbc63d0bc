"""What Airtable's answers mean for a page.

An error body is ``{"error": {"type", "message"?}}``, ``{"error": "NOT_FOUND"}`` or, on the wire for 429,
``{"errors": [{"error", "message"}]}``: all three are read (https://airtable.com/developers/web/api/errors).
"""

from __future__ import annotations

from html import escape
from typing import Any, Final

from shared.connector import (
    Interruption,
    Reauthorize,
    Reject,
    Response,
    Restart,
    RetryLater,
    retry_after,
)

PENALTY_S: Final = 30.0
"""After a breach of a rate limit every call is refused for that long; no header says so."""

LONGEST_MESSAGE: Final = 200
FORBIDDEN: Final = "forbidden"
GONE: Final = "not_found"
ITERATOR_GONE: Final = frozenset({"LIST_RECORDS_ITERATOR_NOT_AVAILABLE", "INVALID_OFFSET_VALUE"})


def problem(response: Response) -> Interruption | None:
    status = response.status
    if 200 <= status < 300:
        return None
    kind, message = error_of(response.body)
    if status == 401:
        return Reauthorize("Airtable does not accept the access token")
    if status == 429:
        return _too_many(response, kind)
    if status >= 500 or status == 408:
        return RetryLater(
            f"Airtable is not available ({status})", after_s=retry_after(response.headers)
        )
    if status == 422 and kind in ITERATOR_GONE:
        return Restart("Airtable no longer knows where in the table this walk stood")
    return _refused(status, kind, message)


def error_of(body: Any) -> tuple[str, str]:
    """Type and message of an error body, each empty when absent; never raises, whatever the body is."""
    if not isinstance(body, dict):
        return "", ""
    found: Any = body.get("error")
    several = body.get("errors")
    if found is None and isinstance(several, list) and several:
        found = several[0]
    if isinstance(found, str):
        return found, _text(body.get("message"))
    if not isinstance(found, dict):
        return "", ""
    return _text(found.get("type")) or _text(found.get("error")), _text(found.get("message"))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _too_many(response: Response, kind: str) -> Interruption:
    if kind == "PUBLIC_API_BILLING_LIMIT_EXCEEDED":
        return Reject(
            "The Airtable workspace has used up its API calls of this month: wait for the next or upgrade its plan",
            code="monthly_limit",
        )
    wait = retry_after(response.headers)
    return RetryLater(
        "Airtable's rate limit was reached",
        code="rate_limited",
        after_s=PENALTY_S if wait is None else wait,
        limit=True,
    )


def _refused(status: int, kind: str, message: str) -> Reject:
    if status == 403:
        return Reject("Airtable refused access (403)" + _said(kind, message), code=FORBIDDEN)
    if status == 404:
        return Reject("Airtable does not know it any more (404)" + _said(kind, message), code=GONE)
    return Reject(f"Airtable did not accept the request ({status})" + _said(kind, message))


def _said(kind: str, message: str) -> str:
    """The provider's words, cut and escaped: they may end on a page."""
    words = ": ".join(part for part in (kind, message) if part)
    printable = "".join(char if char.isprintable() else " " for char in words[:LONGEST_MESSAGE])
    return f": {escape(printable, quote=False)[:LONGEST_MESSAGE]}" if printable.strip() else ""
