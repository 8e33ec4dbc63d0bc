"""HubSpot's errors, as its error-handling and usage-guidelines pages and live traces show them."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any, Final

from shared.connector import (
    Bucket,
    Interruption,
    Reauthorize,
    Reject,
    Response,
    RetryLater,
    retry_after,
)
from shared.providers.hubspot import PROVIDER

LOCKED_S: Final = 2.0
"""The shortest wait HubSpot allows after a 423."""
DAILY_S: Final = 3600.0
"""A daily allowance ends at midnight in the account's time zone, which no answer tells: look again every hour."""
WINDOW_S: Final = 10.0
SECOND_S: Final = 1.0


Body = dict[str, Any]


def problem(response: Response) -> Interruption | None:
    """Classify an answer; None when it is a success."""
    status, body = response.status, response.body if isinstance(response.body, dict) else {}
    if status < 300:
        return None
    if status in KNOWN:
        return KNOWN[status](response, body)
    if status >= 500 or status in {408, 425}:
        reason = f"HubSpot is not available (status {status})."
        return RetryLater(reason, after_s=retry_after(response.headers))
    return Reject(
        f"HubSpot refused the request (status {status}){_said(body)}", code=_code(body, "rejected")
    )


def limits(response: Response) -> tuple[Bucket, ...]:
    """Every answer but those of search tells the limit in force, and the window it is counted in."""
    most = _number(response.headers.get("x-hubspot-ratelimit-max", ""))
    window_ms = _number(response.headers.get("x-hubspot-ratelimit-interval-milliseconds", ""))
    return (
        (Bucket(name="ten_secondly", requests=most, window_s=window_ms / 1000),)
        if most and window_ms
        else ()
    )


def _unauthorized(_: Response, body: Body) -> Reauthorize:
    return Reauthorize(
        "HubSpot no longer accepts the access token.", code=_code(body, "unauthorized")
    )


def _absent(_: Response, __: Body) -> Reject:
    return Reject("HubSpot does not know this object type or address.", code="not_found")


def _too_long(_: Response, __: Body) -> Reject:
    return Reject("HubSpot refused the request: its address is too long.", code="url_too_long")


def _locked(response: Response, _: Body) -> RetryLater:
    wait = max(LOCKED_S, retry_after(response.headers) or 0.0)
    return RetryLater("HubSpot has locked the data for a moment.", code="locked", after_s=wait)


def _migrating(response: Response, _: Body) -> RetryLater:
    reason = "HubSpot is moving this account to another data centre."
    return RetryLater(reason, code="migrating", after_s=retry_after(response.headers))


def _limited(response: Response, body: Body) -> RetryLater:
    """Retry-After is not promised: without it the policy says which window has to pass."""
    policy = body.get("policyName")
    wait = retry_after(response.headers)
    if wait is None:
        wait = (
            {"DAILY": DAILY_S, "SECONDLY": SECOND_S}.get(policy)
            if isinstance(policy, str)
            else None
        )
    if wait is None:
        wait = _interval(response.headers.get("x-hubspot-ratelimit-interval-milliseconds", ""))
    which = {"DAILY": "calls a day", "SECONDLY": "searches a second"}.get(
        str(policy), "calls in ten seconds"
    )
    return RetryLater(
        f"HubSpot's limit of {which} is reached.", code="rate_limited", after_s=wait, limit=True
    )


def _interval(milliseconds: str) -> float:
    return (_number(milliseconds) or WINDOW_S * 1000) / 1000


def _number(text: str) -> int:
    """0 when it is none, or none that makes sense."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _forbidden(_: Response, body: Body) -> Reject:
    if body.get("category") != "MISSING_SCOPES":
        return Reject(f"HubSpot does not allow this{_said(body)}", code="forbidden")
    scope = _missing_scope(body)
    which = f"the scope {scope}" if scope else "a scope"
    reason = f"HubSpot does not allow this: {which} was not granted. Add it to the app's scopes and connect again."
    return Reject(reason, code="missing_scope", scope=scope)


def _missing_scope(body: Body) -> str | None:
    """Any one of the listed scopes would do: ours, if it is among them."""
    listed: list[str] = []
    errors = body.get("errors")
    for error in errors if isinstance(errors, list) else []:
        context = error.get("context") if isinstance(error, dict) else None
        names = context.get("requiredGranularScopes") if isinstance(context, dict) else None
        listed += (
            [_short(name) for name in names if isinstance(name, str)]
            if isinstance(names, list)
            else []
        )
    return next(
        (scope for scope in listed if scope in PROVIDER.oauth.scopes), listed[0] if listed else None
    )


def _code(body: Body, otherwise: str) -> str:
    category = body.get("category")
    plain = isinstance(category, str) and category.replace("_", "").isalpha() and len(category) < 60
    return category.lower() if plain and isinstance(category, str) else otherwise


def _said(body: Body) -> str:
    message = body.get("message")
    return f": {_short(message)}" if isinstance(message, str) and message.strip() else "."


def _short(text: str) -> str:
    """At most 200 characters, none of them markup, control or direction marks."""
    visible = "".join(char if char.isprintable() else " " for char in text[:150])
    return escape(" ".join(visible.split()))[:200]


KNOWN: Final[dict[int, Callable[[Response, Body], Interruption]]] = {
    401: _unauthorized,
    403: _forbidden,
    404: _absent,
    414: _too_long,
    423: _locked,
    429: _limited,
    477: _migrating,
}
