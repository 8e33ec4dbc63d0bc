"""Read HubSpot's errors and limits.

Statuses and bodies: https://developers.hubspot.com/docs/api-reference/error-handling. Limits:
https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines. Every field of an
error body is optional, so nothing here relies on one.
"""

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
"""The shortest wait that HubSpot asks for after a 423."""
DAILY_S: Final = 3600.0
"""A daily allowance starts again at midnight in the account's time zone, which no answer
names: look again every hour."""
WINDOW_S: Final = 10.0
SECOND_S: Final = 1.0
WAIT_S: Final = {"DAILY": DAILY_S, "SECONDLY": SECOND_S}
LIMIT_NAMES: Final = {"DAILY": "calls a day", "SECONDLY": "searches a second"}
NOT_FOUND: Final = "not_found"
URL_TOO_LONG: Final = "url_too_long"
FORBIDDEN: Final = "forbidden"
INTERVAL: Final = "x-hubspot-ratelimit-interval-milliseconds"

Body = dict[str, Any]


def problem(response: Response) -> Interruption | None:
    """Return the interruption that ``response`` means, or None when it is a success."""
    status = response.status
    if status < 300:
        return None
    body = response.body if isinstance(response.body, dict) else {}
    if status in KNOWN:
        return KNOWN[status](response, body)
    if status >= 500 or status in {408, 425}:
        reason = f"HubSpot is not available (status {status})."
        return RetryLater(reason, after_s=retry_after(response.headers))
    reason = f"HubSpot refused the request (status {status}){_said(body)}"
    return Reject(reason, code=_code(body, "rejected"))


def limits(response: Response) -> tuple[Bucket, ...]:
    """Return the limit that the headers state.

    Every answer has them but those of search. The number differs by the account's plan, and from
    the documented one.
    """
    most = _number(response.headers.get("x-hubspot-ratelimit-max", ""))
    window_ms = _number(response.headers.get(INTERVAL, ""))
    if not most or not window_ms:
        return ()
    return (Bucket(name="ten_secondly", requests=most, window_s=window_ms / 1000),)


def _unauthorized(_: Response, body: Body) -> Reauthorize:
    return Reauthorize(
        "HubSpot no longer accepts the access token.", code=_code(body, "unauthorized")
    )


def _absent(_: Response, __: Body) -> Reject:
    return Reject("HubSpot does not know this object type or address.", code=NOT_FOUND)


def _too_long(_: Response, __: Body) -> Reject:
    return Reject("HubSpot refused the request: its URL is too long.", code=URL_TOO_LONG)


def _locked(response: Response, _: Body) -> RetryLater:
    wait = max(LOCKED_S, retry_after(response.headers) or 0.0)
    return RetryLater("HubSpot has locked these records briefly.", code="locked", after_s=wait)


def _migrating(response: Response, _: Body) -> RetryLater:
    # 477 is HubSpot's own status; its Retry-After may be as long as a day.
    reason = "HubSpot is moving this account to another data centre."
    return RetryLater(reason, code="migrating", after_s=retry_after(response.headers))


def _limited(response: Response, body: Body) -> RetryLater:
    # HubSpot does not promise a Retry-After. Without one, the policy says which window has to pass.
    policy = str(body.get("policyName"))
    wait = retry_after(response.headers)
    if wait is None:
        wait = WAIT_S.get(policy)
    if wait is None:
        window_ms = _number(response.headers.get(INTERVAL, ""))
        wait = window_ms / 1000 if window_ms else WINDOW_S
    which = LIMIT_NAMES.get(policy, "calls in ten seconds")
    reason = f"HubSpot's limit of {which} is reached."
    return RetryLater(reason, code="rate_limited", after_s=wait, limit=True)


def _number(text: str) -> int:
    """Return a header as a number, 0 when it is not one or has ten digits and more."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _forbidden(_: Response, body: Body) -> Reject:
    if body.get("category") != "MISSING_SCOPES":
        return Reject(f"HubSpot does not allow this{_said(body)}", code=FORBIDDEN)
    scope = _missing_scope(body)
    which = f"the scope {scope}" if scope else "a scope"
    reason = f"HubSpot does not allow this: {which} was not granted."
    remedy = "Add it to the app's scopes and connect again."
    return Reject(reason, code="missing_scope", scope=scope, remedy=remedy)


def _missing_scope(body: Body) -> str | None:
    """Return the scope that the refusal asks for, None when it names none.

    Any one of the listed scopes would do, so prefer one that the app asks for.
    """
    listed = _listed_scopes(body)
    for scope in listed:
        if scope in PROVIDER.oauth.scopes:
            return scope
    return listed[0] if listed else None


def _listed_scopes(body: Body) -> list[str]:
    errors = body.get("errors")
    if not isinstance(errors, list):
        return []
    scopes: list[str] = []
    for error in errors:
        context = error.get("context") if isinstance(error, dict) else None
        names = context.get("requiredGranularScopes") if isinstance(context, dict) else None
        if isinstance(names, list):
            scopes += [_short(name) for name in names if isinstance(name, str)]
    return scopes


def _code(body: Body, otherwise: str) -> str:
    """Return HubSpot's category in our form, or ``otherwise`` when it does not look like a code."""
    category = body.get("category")
    if not isinstance(category, str) or len(category) >= 60:
        return otherwise
    return category.lower() if category.replace("_", "").isalpha() else otherwise


def _said(body: Body) -> str:
    """Return HubSpot's message as the end of our sentence."""
    message = body.get("message")
    return f": {_short(message)}" if isinstance(message, str) and message.strip() else "."


def _short(text: str) -> str:
    """Return at most 200 characters of ``text``, with nothing invisible and no markup."""
    # Escaping may make 150 characters longer; the second cut keeps the result within 200.
    visible = "".join([_visible(char) for char in text[:150]])
    return escape(" ".join(visible.split()))[:200]


def _visible(char: str) -> str:
    return char if char.isprintable() else " "


KNOWN: Final[dict[int, Callable[[Response, Body], Interruption]]] = {
    401: _unauthorized,
    403: _forbidden,
    404: _absent,
    414: _too_long,
    423: _locked,
    429: _limited,
    477: _migrating,
}
