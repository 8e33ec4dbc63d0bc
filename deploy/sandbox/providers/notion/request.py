"""Read requests as Notion does: token, version, parameters, body; make routes for them."""

from __future__ import annotations

import base64
import binascii
import hmac
import math
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec
from litestar import HttpMethod, Request, Response, post, route
from litestar.handlers import HTTPRouteHandler

from deploy.sandbox.providers.notion.responses import (
    STATUSES,
    ErrorResponse,
    envelope,
    invalid,
    not_simulated,
)
from deploy.sandbox.providers.notion.values import Json
from deploy.sandbox.world import Token, World, root_of

VERSIONS: Final = ("2025-09-03", "2026-03-11")
"""Versions with data sources. The second one has dropped ``archived``."""
OLD_VERSIONS: Final = ("2021-05-11", "2021-05-13", "2021-08-16", "2022-02-22", "2022-06-28")


class SandboxRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Hold one request.

    ``body`` is empty unless JSON came; ``path`` holds the variable parts of the path. ``root`` is
    what comes before ``/v1`` in the address.
    """

    world: World
    root: str
    method: str
    version: str
    token: Token | None
    path: dict[str, str]
    query: dict[str, list[str]]
    body: Json

    @property
    def account(self) -> str:
        if self.token is None:
            raise ErrorResponse("unauthorized", "API token is invalid.")
        return self.token.account

    def id(self, name: str) -> str:
        """Return the UUID in the path, which may come without dashes."""
        try:
            return str(UUID(self.path[name]))
        except ValueError:
            raise invalid(
                f"path failed validation: path.{name} should be a valid uuid, instead was "
                f'`"{self.path[name][:60]}"`.'
            ) from None


Handler = Callable[[SandboxRequest], Json]


def api(world: World, method: HttpMethod, path: str, answer: Handler) -> HTTPRouteHandler:
    """Return a route that takes an access token and counts against its request limit."""

    @route(path, http_method=method, name=f"notion {method} {path}", status_code=200)
    async def serve(request: Request[Any, Any, Any]) -> Response[bytes]:
        return await _answered(world, request, answer, authenticate=_bearer)

    return serve


def for_client(world: World, path: str, answer: Handler) -> HTTPRouteHandler:
    """Return a POST route that takes the app's own id and secret."""

    @post(path, name=f"notion {path}", status_code=200)
    async def serve(request: Request[Any, Any, Any]) -> Response[bytes]:
        return await _answered(world, request, answer, authenticate=_basic)

    return serve


async def _answered(
    world: World,
    http: Request[Any, Any, Any],
    answer: Handler,
    *,
    authenticate: Callable[[World, str], Token | None],
) -> Response[bytes]:
    request_id = str(uuid4())
    status, headers = 200, {"x-notion-request-id": request_id}
    try:
        token = authenticate(world, http.headers.get("authorization", ""))
        if token is not None:
            _count(world, token)
        request = SandboxRequest(
            world=world,
            root=root_of(http.scope, "/v1/"),
            method=http.method,
            version=_version(http.headers.get("notion-version"), http.url.path),
            token=token,
            path={name: str(value) for name, value in http.path_params.items()},
            query=http.query_params.dict(),
            body=await _body(http),
        )
        content = {**answer(request), "request_id": request_id}
    except ErrorResponse as error:
        status = STATUSES.get(error.code, 400)
        content = envelope(error, status, request_id)
        headers |= error.headers
    return Response(
        msgspec.json.encode(content),
        status_code=status,
        headers=headers,
        media_type="application/json",
    )


def _bearer(world: World, header: str) -> Token:
    kind, _, given = header.partition(" ")
    token = world.tokens.get(given) if kind.lower() == "bearer" else None
    if token is None or token.kind != "access" or token.revoked:
        raise ErrorResponse("unauthorized", "API token is invalid.")
    return token


def _basic(world: World, header: str) -> None:
    kind, _, given = header.partition(" ")
    try:
        known = base64.b64decode(given, validate=True) if kind.lower() == "basic" else b""
    except binascii.Error:
        known = b""
    if not hmac.compare_digest(known, f"{world.client.id}:{world.client.secret}".encode()):
        raise ErrorResponse(
            "invalid_client", "Client authentication failed: the client ID or secret is wrong."
        )


def _count(world: World, token: Token) -> None:
    """Count a call against its connection, and then against its workspace."""
    workspace = world.accounts[token.account].home
    counted = (
        ("requests", token.grant.partition("/")[0], "public_api_request_rate_limit"),
        ("workspace", workspace, "public_api_space_request_rate_limit"),
    )
    for bucket, key, reason in counted:
        wait = world.limiter.take(bucket, key)
        if wait is not None:
            seconds = str(max(1, math.ceil(wait)))
            raise ErrorResponse(
                "rate_limited",
                "You have been rate limited. Please try again in a few minutes.",
                extra={"rate_limit_reason": reason, "retry_after": seconds},
                headers={"Retry-After": seconds},
            )


def _version(version: str | None, path: str) -> str:
    if not version:
        raise ErrorResponse(
            "missing_version",
            "Notion-Version header failed validation: Notion-Version header should be defined.",
        )
    if version in OLD_VERSIONS and "/data_sources" in path:
        raise ErrorResponse("invalid_request_url", "Invalid request URL.")
    if version in OLD_VERSIONS:
        raise not_simulated(f"Notion-Version {version}, only {' and '.join(VERSIONS)} are")
    if version not in VERSIONS:
        raise invalid(f"Notion-Version header should be one of {', '.join(VERSIONS)}.")
    return version


async def _body(request: Request[Any, Any, Any]) -> Json:
    raw = await request.body()
    if not raw:
        return {}
    if (
        request.headers.get("content-type", "").partition(";")[0].strip().lower()
        != "application/json"
    ):
        raise ErrorResponse(
            "invalid_request",
            "The request body has to be JSON, with Content-Type: application/json.",
        )
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ErrorResponse("invalid_json", "Error parsing JSON body.") from None
    if not isinstance(body, dict):
        raise invalid("body failed validation: body should be an object.")
    return body
