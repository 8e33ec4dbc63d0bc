"""Authenticate callers, apply limits and scopes, and answer errors as Airtable does."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec
from litestar import Request, Response

from deploy.sandbox.world import SandboxAccount, SandboxRow, World, root_of

JSON: Final = "application/json; charset=utf-8"
ENCODER: Final = msgspec.json.Encoder()
AnyRequest = Request[Any, Any, Any]


ELSEWHERE: Final = re.compile(
    r"/v0/(meta|bases|scim)/.+|/v0/[^/]+/[^/]+/(sync/.+|[^/]+/(comments.*|[^/]+/uploadAttachment))"
)
"""Paths that Airtable's API has and the sandbox has not."""


class ErrorResponse(Exception):
    """End a request with an error; without ``message`` the body is ``{"error": kind}``."""

    def __init__(self, status: int, kind: str, message: str | None = None) -> None:
        super().__init__(kind)
        self.status, self.kind, self.message = status, kind, message

    def body(self) -> dict[str, Any]:
        if self.status == 429:
            return {"errors": [{"error": self.kind, "message": self.message}]}
        if self.message is None:
            return {"error": self.kind}
        detail = (
            {"type": self.kind, "message": self.message} if self.message else {"type": self.kind}
        )
        return {"error": detail}


def not_found() -> ErrorResponse:
    return ErrorResponse(404, "NOT_FOUND")


def no_such_model() -> ErrorResponse:
    return ErrorResponse(
        403,
        "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND",
        "Invalid permissions, or the requested model was not found. Check that both your user "
        "and your token have the "
        "required permissions, and that the model names and/or ids are correct.",
    )


def invalid(message: str, kind: str = "INVALID_REQUEST_UNKNOWN") -> ErrorResponse:
    return ErrorResponse(422, kind, message)


def not_simulated(what: str) -> ErrorResponse:
    message = f"Not simulated: {what}. The call may be right, but the sandbox lacks it."
    return ErrorResponse(501, "NOT_SIMULATED", message)


def unknown_call(method: str, path: str) -> ErrorResponse:
    """Return Airtable's 404, or a 501 for a call that Airtable has."""
    return not_simulated(f"{method} {path[:200]}") if ELSEWHERE.fullmatch(path) else not_found()


def respond(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response[bytes]:
    return Response(ENCODER.encode(body), status_code=status, media_type=JSON, headers=headers)


def error_response(_: AnyRequest, error: ErrorResponse) -> Response[bytes]:
    return respond(error.body(), error.status)


ERRORS: Final[dict[int | type[Exception], Callable[..., Response[bytes]]]] = {
    ErrorResponse: error_response
}


class ApiCaller(msgspec.Struct, frozen=True):
    """Hold who calls, and the address that the call came to, up to the API's version."""

    account: SandboxAccount
    scopes: tuple[str, ...]
    root: str


def admit(
    world: World, request: AnyRequest, *, scope: str | None = None, base: str | None = None
) -> ApiCaller:
    """Check token, limits and scope, in that order; calls without a valid token are not counted."""
    scheme, _, presented = request.headers.get("authorization", "").partition(" ")
    token = world.tokens.get(presented.strip()) if scheme.lower() == "bearer" else None
    dead = token is None or token.kind != "access" or token.revoked
    if token is None or dead or (token.expires or 0) <= world.clock.now():
        raise ErrorResponse(401, "AUTHENTICATION_REQUIRED", "Authentication required")
    _count(world, "token", token.account)
    if base is not None:
        _count(world, "base", base)
    if scope is not None and scope not in token.scopes:
        raise ErrorResponse(
            403, "INVALID_PERMISSIONS", "You are not permitted to perform this operation"
        )
    return ApiCaller(world.accounts[token.account], token.scopes, root_of(request.scope, "/v0/"))


def _count(world: World, bucket: str, key: str) -> None:
    if world.limiter.take(bucket, key) is not None:
        raise ErrorResponse(
            429, "RATE_LIMIT_REACHED", "Rate limit exceeded. Please try again later"
        )


def base_row(world: World, caller: ApiCaller, base: str) -> SandboxRow:
    if base in {"meta", "bases"}:
        raise not_simulated(f"this call below /v0/{base}")
    row = world.rows(caller.account.id, "bases").get(base)
    if row is None or row.archived:
        raise not_found()
    return row


def table_row(world: World, caller: ApiCaller, base: str, table: str) -> SandboxRow:
    """Return a table by its id or name."""
    base_row(world, caller, base)
    tables = world.rows(caller.account.id, "tables")
    found = tables.get(f"{base}/{table}")
    if found is None:
        prefix = f"{base}/"
        named = (
            row
            for id_, row in tables.items()
            if id_.startswith(prefix) and row.body["name"] == table
        )
        found = next((row for row in named if not row.archived), None)
    if found is None or found.archived:
        raise no_such_model()
    return found
