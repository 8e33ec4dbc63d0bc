"""Build the API's answers: envelopes, authentication, limits, scopes."""

from __future__ import annotations

import re
import uuid
from typing import Any, Final

import msgspec
from litestar import Request, Response

from deploy.sandbox.providers.hubspot.catalogue import ALIASES, VERSIONS
from deploy.sandbox.world import Limit, Token, World

AnyRequest = Request[Any, Any, Any]

JSON: Final = msgspec.json.Encoder()
UNLIMITED: Final = Limit(1_000_000, 10.0)
"""Reported in the headers while limits are off."""
URL_BYTES: Final = 8192
"""The edge in front of the API rejects longer addresses by itself."""
NO_CREDENTIALS: Final = (
    "Authentication credentials not found. This API supports OAuth 2.0 authentication and you "
    "can find more details at "
    "https://developers.hubspot.com/docs/methods/auth/oauth-overview"
)
NO_SCOPES: Final = (
    "This app hasn't been granted all required scopes to make this call. Read more about "
    "required scopes here: "
    "https://developers.hubspot.com/scopes."
)
TOO_LONG: Final = (
    b"<html><head><title>414 Request-URI Too Large</title></head><body><h1>414 "
    b"Request-URI Too Large</h1></body></html>"
)


APIS: Final = frozenset({
    "account-info", "appinstalls", "automation", "cms", "communication-preferences",
    "conversations", "events", "files", "integrators", "marketing", "media-bridge", "oauth",
    "scheduler", "settings", "webhooks", "webhooks-journal",
})  # fmt: skip
"""The first parts of the paths of HubSpot's APIs, and in ``CRM`` those below ``/crm``."""
CRM: Final = frozenset({
    "associations", "exports", "extensions", "imports", "limits", "lists", "object-library",
    "objects", "owners", "pipelines", "properties", "property-validations", "schemas", "timeline",
})  # fmt: skip
OTHER_TYPES: Final = frozenset({
    "appointments", "calls", "carts", "communications", "courses", "discounts", "emails",
    "feedback_submissions", "fees", "goal_targets", "invoices", "leads", "line_items", "listings",
    "meetings", "notes", "orders", "partner_clients", "payments", "postal_mail", "products",
    "quotes", "services", "subscriptions", "tasks", "taxes", "tickets", "users",
})  # fmt: skip
CUSTOM_TYPE: Final = re.compile(r"0-[0-9]+|2-[0-9]+|p[0-9]+_[a-z0-9_]+")


class ErrorResponse(Exception):
    """End a request with this answer."""

    def __init__(self, response: Response[bytes]) -> None:
        super().__init__(response.status_code)
        self.response = response


def error_response(_: AnyRequest, error: ErrorResponse) -> Response[bytes]:
    return error.response


def respond(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response[bytes]:
    """Return JSON with HubSpot's correlation id."""
    headers = {"X-HubSpot-Correlation-Id": str(uuid.uuid4()), **(headers or {})}
    return Response(
        JSON.encode(body),
        status_code=status,
        media_type="application/json;charset=utf-8",
        headers=headers,
    )


def api_error(status: int, message: str, *, category: str, **more: Any) -> ErrorResponse:
    """Return an error in HubSpot's envelope; ``more`` adds fields to it."""
    correlation = str(uuid.uuid4())
    body = {
        "status": "error",
        "message": message,
        "correlationId": correlation,
        "category": category,
        **more,
    }
    return ErrorResponse(respond(body, status, {"X-HubSpot-Correlation-Id": correlation}))


def invalid(message: str) -> ErrorResponse:
    return api_error(400, message, category="VALIDATION_ERROR")


def not_simulated(what: str) -> ErrorResponse:
    message = f"Not simulated: {what}. The call may be right, but the sandbox lacks it."
    return api_error(501, message, category="NOT_SIMULATED")


def unknown_call(method: str, path: str) -> ErrorResponse:
    """Return HubSpot's 404, or a 501 for a call that HubSpot has."""
    first, *rest = path.strip("/").split("/")
    if first in APIS or (first == "crm" and CRM.intersection(rest[:2])):
        return not_simulated(f"{method} {path[:200]}")
    return api_error(404, "resource not found", category="OBJECT_NOT_FOUND")


def version_of(request: AnyRequest, versions: frozenset[str]) -> str:
    """Return the version in the path; legacy paths, which spell it out, are v3."""
    version: str = request.path_params.get("version", "v3")
    if version not in versions:
        raise api_error(404, "resource not found", category="OBJECT_NOT_FOUND")
    return version


def resource_of(request: AnyRequest) -> str:
    """Return the object type that any of its spellings stands for."""
    version_of(request, VERSIONS)
    kind: str = request.path_params["kind"]
    if kind not in ALIASES and (kind in OTHER_TYPES or CUSTOM_TYPE.fullmatch(kind)):
        raise not_simulated(f"the object type {kind[:60]}")
    if kind not in ALIASES:
        raise invalid(f"Unable to infer object type from: {kind[:60]}")
    return ALIASES[kind]


class ApiCaller(msgspec.Struct, frozen=True):
    """Hold the caller's token and the headers that go with the answer."""

    token: Token
    headers: dict[str, str]


def admit(
    world: World, request: AnyRequest, *, scope: str, bucket: str = "ten_secondly"
) -> ApiCaller:
    """Check address, token, limit and scope, in this order; count calls with a valid token.

    Raises:
        ErrorResponse: with HubSpot's 401, 403, 414 or 429.
    """
    if len(request.scope["query_string"]) + len(request.scope["raw_path"]) > URL_BYTES:
        raise ErrorResponse(Response(TOO_LONG, status_code=414, media_type="text/html"))
    token = _token(world, request)
    headers = _counted(world, token, bucket)
    if scope not in token.scopes:
        detail = {"message": "One or more of the following scopes are required."}
        errors = [{**detail, "context": {"requiredGranularScopes": [scope]}}]
        links = {"scopes": "https://developers.hubspot.com/scopes"}
        raise api_error(403, NO_SCOPES, category="MISSING_SCOPES", errors=errors, links=links)
    return ApiCaller(token, headers)


def _token(world: World, request: AnyRequest) -> Token:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    token = world.tokens.get(value.strip()) if scheme.lower() == "bearer" else None
    if (
        token is None
        or token.kind != "access"
        or token.revoked
        or token.account not in world.accounts
    ):
        raise api_error(401, NO_CREDENTIALS, category="INVALID_AUTHENTICATION")
    if token.expires is not None and token.expires <= world.clock.now():
        minutes = int((world.clock.now() - token.expires) // 60)
        message = f"The OAuth token used to make this call expired {minutes} minute(s) ago."
        raise api_error(401, message, category="EXPIRED_AUTHENTICATION")
    return token


def _counted(world: World, token: Token, bucket: str) -> dict[str, str]:
    """Count the call, and return its limit headers; searches have a limit but no headers."""
    searching = bucket == "search"
    key = token.account if searching else f"{token.client_id}:{token.account}"
    wait = world.limiter.take(bucket, key)
    headers = {} if searching else _rate_headers(world, bucket, key)
    if wait is None:
        return headers
    policy, named = (
        ("SECONDLY", "secondly") if searching else ("TEN_SECONDLY_ROLLING", "ten_secondly_rolling")
    )
    correlation = str(uuid.uuid4())
    body = {
        "status": "error",
        "message": f"You have reached your {named} limit.",
        "errorType": "RATE_LIMIT",
    }
    body |= {"correlationId": correlation, "policyName": policy}
    raise ErrorResponse(respond(body, 429, {**headers, "X-HubSpot-Correlation-Id": correlation}))


def _rate_headers(world: World, bucket: str, key: str) -> dict[str, str]:
    limit = world.limiter.limits[bucket]
    left = world.limiter.remaining(bucket, key)
    if world.limiter.off:
        limit, left = UNLIMITED, UNLIMITED.requests
    return {
        "X-HubSpot-RateLimit-Max": str(limit.requests),
        "X-HubSpot-RateLimit-Remaining": str(left),
        "X-HubSpot-RateLimit-Interval-Milliseconds": str(int(limit.window_s * 1000)),
        "X-HubSpot-RateLimit-Secondly": str(max(1, limit.requests // 10)),
        "X-HubSpot-RateLimit-Secondly-Remaining": str(min(left, max(1, limit.requests // 10))),
    }
