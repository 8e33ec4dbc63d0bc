"""Read Notion's errors: https://developers.notion.com/reference/status-codes."""

from __future__ import annotations

from typing import Any, Final

from shared.connector import (
    MALFORMED_PAGE,
    Interruption,
    Reauthorize,
    Reject,
    Response,
    Restart,
    RetryLater,
    retry_after,
)

LONGEST_ECHO: Final = 200
"""The most characters of a provider's message that are shown: a line or two."""
GONE: Final = "object_not_found"
"""The object was deleted or is no longer shared. Notion does not tell which."""
FORBIDDEN: Final = "restricted_resource"
BLOCKED: Final = "public_api_request_blocked"
LIMIT_OF: Final = {
    "public_api_request_rate_limit": "requests",
    "public_api_space_request_rate_limit": "workspace",
}
"""The bucket whose limit was reached, by the reason that a 429 gives. Any other closes both."""


def problem(response: Response) -> Interruption | None:
    """Return the interruption that ``response`` means, or None when it is a success."""
    status = response.status
    if status < 400:
        return None
    body: dict[str, Any] = response.body if isinstance(response.body, dict) else {}
    if status in {429, 529}:
        return _limited(response, body)
    # 409 conflict_error: somebody else writes at the same moment.
    if status in {408, 409} or status >= 500:
        return _unavailable(response, body)
    if status == 401:
        return Reauthorize("Notion does not accept the access token.")
    if status == 400 and _cursor_expired(body):
        return Restart("Notion no longer accepts the cursor of this walk.")
    return _refused(status, body)


def _cursor_expired(body: dict[str, Any]) -> bool:
    """Return whether an error is about the cursor. It has no code of its own, only a message."""
    return body.get("code") == "validation_error" and "start_cursor" in str(body.get("message"))


def _refused(status: int, body: dict[str, Any]) -> Reject:
    if status == 404:
        reason = f"Notion cannot find this object, or it is no longer shared{_said(body)}"
        return Reject(reason, code=_code(body, GONE))
    reason = f"Notion refused the request (status {status}){_said(body)}"
    return Reject(reason, code=_code(body, "rejected"))


def malformed(what: str) -> RetryLater:
    """Return the failure of a page that is not shaped as it should be."""
    return RetryLater(f"Notion sent a page that cannot be read: {what}.", code=MALFORMED_PAGE)


def _limited(response: Response, body: dict[str, Any]) -> Interruption:
    extra = body.get("additional_data")
    extra = extra if isinstance(extra, dict) else {}
    # Every other reason asks for a wait; this one asks never to send the request again:
    # https://developers.notion.com/reference/request-limits
    told = extra.get("rate_limit_reason")
    if told == BLOCKED:
        reason = "Notion has blocked this connection's requests and asks not to try again."
        return Reject(reason, code="blocked", everything=True)
    after = retry_after(response.headers)
    if after is None:
        after = retry_after({"retry-after": str(extra.get("retry_after", ""))})
    if response.status == 529:
        # Notion itself is overloaded. A wait that it names holds for all calls; without one, this
        # is
        # a failure like any other 5xx.
        limit, reason = after is not None, "Notion is overloaded."
        return RetryLater(reason, code="service_overload", after_s=after, limit=limit)
    reason, bucket = "Notion's request limit is reached.", LIMIT_OF.get(str(told))
    return RetryLater(reason, code="rate_limited", after_s=after, limit=True, bucket=bucket)


def _unavailable(response: Response, body: dict[str, Any]) -> RetryLater:
    reason = f"Notion could not answer (status {response.status}){_said(body)}"
    code, after = _code(body, "unavailable"), retry_after(response.headers)
    return RetryLater(reason, code=code, after_s=after)


def _code(body: dict[str, Any], otherwise: str) -> str:
    """Return Notion's code, or ``otherwise`` when it does not look like a code."""
    code = body.get("code")
    if not isinstance(code, str) or len(code) > 64:
        return otherwise
    return code if code.isidentifier() else otherwise


def _said(body: dict[str, Any]) -> str:
    """Return Notion's message as the end of our sentence: short, on one line, nothing invisible."""
    message = body.get("message")
    if not isinstance(message, str) or not message.strip():
        return "."
    visible = "".join([_visible(char) for char in message[: 2 * LONGEST_ECHO]])
    short = " ".join(visible.split())
    if len(short) > LONGEST_ECHO:
        short = short[: LONGEST_ECHO - 1] + "…"
    return f": {short}"


def _visible(char: str) -> str:
    return char if char.isprintable() else " "
