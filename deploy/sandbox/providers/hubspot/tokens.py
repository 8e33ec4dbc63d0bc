"""Exchange codes and refresh tokens for access tokens; the client's secret is in the form."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from base64 import urlsafe_b64encode
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from litestar import Response, post
from litestar.handlers import HTTPRouteHandler

from deploy.sandbox.providers.hubspot.responses import AnyRequest, ErrorResponse, api_error, respond
from deploy.sandbox.world import Token, World

TOKEN_PATHS: Final = [f"/oauth/{version}/token" for version in ("v1", "v3", "2026-03", "2026-09")]
ACCESS_S: Final = 1800
FORM: Final = "application/x-www-form-urlencoded"


def token_routes(world: World) -> list[HTTPRouteHandler]:
    @post(TOKEN_PATHS, status_code=200)
    async def token(request: AnyRequest) -> Response[bytes]:
        form = await read_form(request)
        grant = form.get("grant_type", "")
        if grant not in {"authorization_code", "refresh_token"}:
            raise oauth_error(
                "BAD_GRANT_TYPE", "unsupported_grant_type", "missing or unknown grant type"
            )
        authenticate(world, form)
        return _by_code(world, form) if grant == "authorization_code" else _by_refresh(world, form)

    return [token]


async def read_form(request: AnyRequest) -> dict[str, str]:
    """Return the fields of a form body; no other content type is accepted."""
    body = await request.body()
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise api_error(415, "Unsupported Media Type", category="VALIDATION_ERROR")
    pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=50)
    if len(dict(pairs)) != len(pairs):
        raise oauth_error("BAD_REQUEST", "invalid_request", "a parameter is given twice")
    return dict(pairs)


def oauth_error(status: str, error: str, message: str) -> ErrorResponse:
    """Return a 400 with RFC 6749's keys and HubSpot's older ones, as sent since 2026-01."""
    body = {"error": error, "error_description": message, "status": status, "message": message}
    return ErrorResponse(respond({**body, "correlationId": str(uuid.uuid4())}, 400))


def authenticate(world: World, form: dict[str, str]) -> None:
    """Check the client's secret in the body, with PKCE or without; HTTP Basic is ignored."""
    if form.get("client_id") != world.client.id:
        raise oauth_error("BAD_CLIENT_ID", "invalid_client", "missing or invalid client id")
    if not secrets.compare_digest(
        form.get("client_secret", "").encode(), world.client.secret.encode()
    ):
        raise oauth_error("BAD_CLIENT_SECRET", "invalid_client", "missing or invalid client secret")


def user_id(account: str) -> int:
    return int(account) % 900_000 + 77_120


def _by_code(world: World, form: dict[str, str]) -> Response[bytes]:
    """Exchange a code. It works once: a wrong verifier or an expired code uses it up as well."""
    value = form.get("code", "")
    code = world.codes.get(value)
    if code is None or code.used or code.client_id != form["client_id"]:
        raise oauth_error("BAD_AUTH_CODE", "invalid_grant", "missing or unknown auth code")
    if form.get("redirect_uri") != code.redirect_uri:
        raise oauth_error("BAD_REDIRECT_URI", "invalid_request", "missing or invalid redirect uri")
    world.codes[value] = msgspec.structs.replace(code, used=True)
    if code.expires <= world.clock.now():
        raise oauth_error("EXPIRED_AUTH_CODE", "invalid_grant", "the auth code has expired")
    if not _verified(code.challenge, form.get("code_verifier")):
        raise oauth_error("BAD_CODE_VERIFIER", "invalid_grant", "missing or invalid code verifier")
    grant, now = uuid.uuid4().hex, world.clock.now()
    refresh = Token(
        kind="refresh",
        account=code.account,
        client_id=code.client_id,
        grant=grant,
        scopes=code.scopes,
        issued=now,
    )
    return _issued(world, f"na1-{uuid.uuid4()}", refresh)


def _verified(challenge: str | None, verifier: str | None) -> bool:
    if challenge is None or verifier is None:
        return challenge is verifier
    made = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
    return secrets.compare_digest(made, challenge.encode())


def _by_refresh(world: World, form: dict[str, str]) -> Response[bytes]:
    """Issue an access token; the refresh token and earlier access tokens stay valid."""
    value = form.get("refresh_token", "")
    refresh = world.tokens.get(value)
    if refresh is None or refresh.kind != "refresh" or refresh.revoked:
        raise oauth_error(
            "BAD_REFRESH_TOKEN", "invalid_grant", "refresh token is invalid, expired or revoked"
        )
    if refresh.account not in world.accounts:
        raise oauth_error("BAD_HUB", "access_denied", "missing or unknown hub id")
    return _issued(world, value, refresh)


def _issued(world: World, refresh_value: str, refresh: Token) -> Response[bytes]:
    now = world.clock.now()
    # Real tokens are several hundred characters long.
    value = f"CN{secrets.token_urlsafe(300)}"
    access = msgspec.structs.replace(refresh, kind="access", issued=now, expires=now + ACCESS_S)
    world.tokens.put({refresh_value: refresh, value: access})
    body: dict[str, Any] = {
        "token_type": "bearer",
        "access_token": value,
        "refresh_token": refresh_value,
        "expires_in": ACCESS_S,
        "hub_id": int(refresh.account),
        "scopes": list(refresh.scopes),
        "token_use": "access_token",
        "user_id": user_id(refresh.account),
    }
    return respond(body, headers={"Cache-Control": "no-store"})
