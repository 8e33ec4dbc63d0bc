"""What Notion's errors mean (developers.notion.com/reference/status-codes)."""

from __future__ import annotations

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

LONGEST_ECHO: Final = 200
GONE: Final = "object_not_found"
"""Deleted, or no longer shared: Notion does not tell which."""
FORBIDDEN: Final = "restricted_resource"
BLOCKED: Final = "public_api_request_blocked"


def problem(response: Response) -> Interruption | None:
    """Return what ``response`` means for its page, None for a success."""
    status = response.status
    if status < 400:
        return None
    body: dict[str, Any] = response.body if isinstance(response.body, dict) else {}
    found: Interruption
    match status:
        case 401:
            found = Reauthorize("Notion does not accept the access token.")
        case 403 if not body:
            found = Reject(
                "Notion's network protection refused the request (status 403).", code="edge_blocked"
            )
        case 404:
            found = Reject(
                f"Notion does not find it, or it is no longer shared{_said(body)}",
                code=_code(body, GONE),
            )
        case 429 | 529:
            found = _limited(response, body)
        case _ if status in {408, 409} or status >= 500:
            found = _unavailable(response, body)
        case 400 if body.get("code") == "validation_error" and "start_cursor" in str(
            body.get("message")
        ):
            found = Restart("Notion no longer knows the place this walk had come to.")
        case _:
            found = Reject(
                f"Notion refused the request (status {status}){_said(body)}",
                code=_code(body, "rejected"),
            )
    return found


def malformed(what: str) -> Reject:
    return Reject(f"Notion sent a page that cannot be read: {what}.", code="malformed_page")


def _limited(response: Response, body: dict[str, Any]) -> Interruption:
    extra = body.get("additional_data")
    extra = extra if isinstance(extra, dict) else {}
    if extra.get("rate_limit_reason") == BLOCKED:
        return Reject(
            "Notion has blocked this connection's requests and asks not to try again.",
            code="blocked",
        )
    after = retry_after(response.headers)
    if after is None:
        after = retry_after({"retry-after": str(extra.get("retry_after", ""))})
    if response.status == 529:
        # Notion's own overload: a wait it names binds everybody; without one it is a failure like any other 5xx.
        return RetryLater(
            "Notion is overloaded.", code="service_overload", after_s=after, limit=after is not None
        )
    return RetryLater(
        "Notion's request limit is reached.", code="rate_limited", after_s=after, limit=True
    )


def _unavailable(response: Response, body: dict[str, Any]) -> RetryLater:
    reason = f"Notion could not answer (status {response.status}){_said(body)}"
    return RetryLater(
        reason, code=_code(body, "unavailable"), after_s=retry_after(response.headers)
    )


def _code(body: dict[str, Any], otherwise: str) -> str:
    code = body.get("code")
    return code if isinstance(code, str) and code.isidentifier() and len(code) <= 64 else otherwise


def _said(body: dict[str, Any]) -> str:
    """A provider's message as the end of our sentence: short, on one line, nothing invisible."""
    message = body.get("message")
    if not isinstance(message, str) or not message.strip():
        return "."
    plain = "".join(one if one.isprintable() else " " for one in message[: 2 * LONGEST_ECHO])
    short = " ".join(plain.split())
    return f": {short if len(short) <= LONGEST_ECHO else short[: LONGEST_ECHO - 1] + '…'}"
