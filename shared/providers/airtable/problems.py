"""Read Airtable's errors: https://airtable.com/developers/web/api/errors.

An error body is ``{"error": {"type", "message"?}}`` or ``{"error": "NOT_FOUND"}``. A 429 is seen as
``{"errors": [{"error", "message"}]}`` in spite of the documentation. All three are read.
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
"""After a breach of a rate limit, Airtable refuses every call for 30 seconds. No header says so:
https://airtable.com/developers/web/api/rate-limits"""

LONGEST_MESSAGE: Final = 200
"""The most characters of a provider's message that are shown: a line or two."""
FORBIDDEN: Final = "forbidden"
GONE: Final = "not_found"
ITERATOR_GONE: Final = frozenset({"LIST_RECORDS_ITERATOR_NOT_AVAILABLE", "INVALID_OFFSET_VALUE"})


def problem(response: Response) -> Interruption | None:
    """Return the interruption that ``response`` means, or None when it is a success."""
    status = response.status
    if 200 <= status < 300:
        return None
    kind, message = error_of(response.body)
    if status == 401:
        return Reauthorize("Airtable does not accept the access token.")
    if status == 429:
        return _too_many(response, kind)
    if status >= 500 or status == 408:
        reason = f"Airtable is not available (status {status})."
        return RetryLater(reason, after_s=retry_after(response.headers))
    if status == 422 and kind in ITERATOR_GONE:
        return Restart("Airtable no longer accepts the cursor of this walk.")
    return _refused(status, kind, message)


def error_of(body: Any) -> tuple[str, str]:
    """Return the type and message of an error body, each empty when absent. Never raises."""
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
    # The month's allowance (1,000 calls on the Free plan) is a 429 too, but no wait of ours ends
    # it.
    if kind == "PUBLIC_API_BILLING_LIMIT_EXCEEDED":
        reason = (
            "The Airtable workspace has used up its API calls for this month. "
            "Wait for the next month or upgrade its plan."
        )
        # Each workspace has its own allowance, and an account may see bases of several.
        return Reject(reason, code="monthly_limit")
    wait = retry_after(response.headers)
    if wait is None:
        wait = PENALTY_S
    reason = "Airtable's rate limit is reached."
    return RetryLater(reason, code="rate_limited", after_s=wait, limit=True)


def _refused(status: int, kind: str, message: str) -> Reject:
    said = _said(kind, message)
    if status == 403:
        return Reject(f"Airtable refused access (status 403){said}", code=FORBIDDEN)
    if status == 404:
        return Reject(f"Airtable cannot find this any more (status 404){said}", code=GONE)
    return Reject(f"Airtable refused the request (status {status}){said}")


def _said(kind: str, message: str) -> str:
    """Return Airtable's words as the end of our sentence, cut and escaped: a page may show them."""
    words = ": ".join([part for part in (kind, message) if part])
    visible = "".join([_visible(char) for char in words[:LONGEST_MESSAGE]])
    if not visible.strip():
        return "."
    return f": {escape(visible, quote=False)[:LONGEST_MESSAGE].rstrip('. ')}."


def _visible(char: str) -> str:
    return char if char.isprintable() else " "
