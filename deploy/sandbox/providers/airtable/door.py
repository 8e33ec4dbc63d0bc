"""The door of the simulated API: who calls, whether the limits allow it, and how it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from litestar import Request, Response

from deploy.sandbox.world import Account, Row, World

JSON = "application/json; charset=utf-8"
ENCODER = msgspec.json.Encoder()
AnyRequest = Request[Any, Any, Any]


class Refused(Exception):
    """An error answer; without ``message`` the body is ``{"error": kind}``, as Airtable does for 404."""

    def __init__(self, status: int, kind: str, message: str | None = None) -> None:
        super().__init__(kind)
        self.status, self.kind, self.message = status, kind, message

    def body(self) -> dict[str, Any]:
        if self.status == 429:
            return {"errors": [{"error": self.kind, "message": self.message}]}
        if self.message is None:
            return {"error": self.kind}
        detail = {"type": self.kind, "message": self.message} if self.message else {"type": self.kind}
        return {"error": detail}


def not_found() -> Refused:
    return Refused(404, "NOT_FOUND")


def no_such_model() -> Refused:
    return Refused(
        403,
        "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND",
        "Invalid permissions, or the requested model was not found. Check that both your user and your token have the "
        "required permissions, and that the model names and/or ids are correct.",
    )


def invalid(message: str, kind: str = "INVALID_REQUEST_UNKNOWN") -> Refused:
    return Refused(422, kind, message)


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response[bytes]:
    return Response(ENCODER.encode(body), status_code=status, media_type=JSON, headers=headers)


def refuse(_: AnyRequest, refused: Refused) -> Response[bytes]:
    return answer(refused.body(), refused.status)


ERRORS: dict[int | type[Exception], Callable[..., Response[bytes]]] = {Refused: refuse}


class Caller(msgspec.Struct, frozen=True):
    account: Account
    scopes: tuple[str, ...]


def enter(world: World, request: AnyRequest, *, scope: str | None = None, base: str | None = None) -> Caller:
    """Check token, limits and scope, in that order; refused calls of strangers are not counted."""
    scheme, _, presented = request.headers.get("authorization", "").partition(" ")
    token = world.tokens.get(presented.strip()) if scheme.lower() == "bearer" else None
    dead = token is None or token.kind != "access" or token.revoked
    if token is None or dead or (token.expires or 0) <= world.clock.now():
        raise Refused(401, "AUTHENTICATION_REQUIRED", "Authentication required")
    _count(world, "token", token.account)
    if base is not None:
        _count(world, "base", base)
    if scope is not None and scope not in token.scopes:
        raise Refused(403, "INVALID_PERMISSIONS", "You are not permitted to perform this operation")
    return Caller(world.accounts[token.account], token.scopes)


def _count(world: World, bucket: str, key: str) -> None:
    if world.limiter.take(bucket, key) is not None:
        raise Refused(429, "RATE_LIMIT_REACHED", "Rate limit exceeded. Please try again later")


def base_row(world: World, caller: Caller, base: str) -> Row:
    row = world.rows(caller.account.id, "bases").get(base)
    if row is None or row.archived:
        raise not_found()
    return row


def table_row(world: World, caller: Caller, base: str, table: str) -> Row:
    """A table by id or by name."""
    base_row(world, caller, base)
    tables = world.rows(caller.account.id, "tables")
    found = tables.get(f"{base}/{table}")
    if found is None:
        prefix = f"{base}/"
        named = (row for id_, row in tables.items() if id_.startswith(prefix) and row.body["name"] == table)
        found = next((row for row in named if not row.archived), None)
    if found is None or found.archived:
        raise no_such_model()
    return found
