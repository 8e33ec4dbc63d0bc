"""Exchange one-time codes and refresh tokens; a refresh ends both old tokens at once."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from typing import Any, Final
from urllib.parse import parse_qs, unquote_plus

import msgspec
from litestar import Response, post
from litestar.handlers import HTTPRouteHandler

from deploy.sandbox.providers.airtable.responses import AnyRequest, respond
from deploy.sandbox.world import AuthorizationCode, Token, World
from shared.contracts.envelope import new_id

ACCESS_LIFETIME_S: Final = 3600
REFRESH_LIFETIME_S: Final = 60 * 86400
MOMENTS_S: Final = 10
"""A refresh token used again this soon after its rotation gets a 409 instead of invalid_grant."""

VERIFIER: Final = re.compile(r"[A-Za-z0-9.\-_]{43,128}")
VERIFIER_RULE: Final = (
    "code_verifier must be 43 to 128 of the characters A-Z a-z 0-9 . - _ (~ is not among them)"
)
NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class TokenError(Exception):
    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error, self.description, self.status = error, description, status


def _deny(_: AnyRequest, denied: TokenError) -> Response[bytes]:
    headers = NO_STORE | ({"WWW-Authenticate": "Basic"} if denied.status == 401 else {})
    return respond(
        {"error": denied.error, "error_description": denied.description}, denied.status, headers
    )


def token_routes(world: World) -> list[HTTPRouteHandler]:
    @post("/oauth2/v1/token", status_code=200, exception_handlers={TokenError: _deny})
    async def token(request: AnyRequest) -> Response[bytes]:
        form = _form(request, await request.body())
        _authenticate(world, request, form)
        kind = _needed(form, "grant_type")
        if kind not in GRANTS:
            raise TokenError(
                "unsupported_grant_type", "grant_type must be authorization_code or refresh_token"
            )
        return respond(GRANTS[kind](world, form), headers=NO_STORE)

    return [token]


def _form(request: AnyRequest, body: bytes) -> dict[str, str]:
    if (
        request.headers.get("content-type", "").partition(";")[0].strip().lower()
        != "application/x-www-form-urlencoded"
    ):
        raise TokenError("invalid_request", "the body must be application/x-www-form-urlencoded")
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    if any(len(values) > 1 for values in fields.values()):
        raise TokenError("invalid_request", "a field is given more than once")
    return {key: values[0] for key, values in fields.items()}


def _authenticate(world: World, request: AnyRequest, form: dict[str, str]) -> None:
    """Require HTTP Basic only where the app has a secret; ignore a secret in the body."""
    client, header = world.client, request.headers.get("authorization", "")
    named = form.get("client_id", client.id if client.secret else "")
    if client.secret:
        scheme, _, value = header.partition(" ")
        if scheme.lower() != "basic" or not _matches(value, f"{client.id}:{client.secret}"):
            raise TokenError("invalid_client", "the client must authenticate with HTTP Basic", 401)
    elif header:
        raise TokenError(
            "invalid_client", "a client without a secret must not send Authorization", 401
        )
    if named != client.id:
        raise TokenError("invalid_client", "client_id does not name this client", 401)


def _matches(value: str, expected: str) -> bool:
    standard = value.strip().replace("-", "+").replace("_", "/")
    try:
        decoded = base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True).decode()
    except (binascii.Error, ValueError):
        return False
    return any(
        hmac.compare_digest(text.encode(), expected.encode())
        for text in (decoded, unquote_plus(decoded))
    )


def _needed(form: dict[str, str], key: str) -> str:
    if not form.get(key):
        raise TokenError("invalid_request", f"{key} is missing")
    return form[key]


def _by_code(world: World, form: dict[str, str]) -> dict[str, Any]:
    presented = _needed(form, "code")
    code = world.codes.get(presented)
    if code is None:
        raise TokenError("invalid_grant", "the authorization code is unknown")
    if not code.used:
        world.codes[presented] = msgspec.structs.replace(code, used=True)
    _check_code(world, code, form)
    return _issue(world, account=code.account, grant=new_id(), scopes=code.scopes, ends={})


def _check_code(world: World, code: AuthorizationCode, form: dict[str, str]) -> None:
    verifier, uri = _needed(form, "code_verifier"), _needed(form, "redirect_uri")
    digest = (
        base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    )
    if code.used:
        raise TokenError("invalid_grant", "the authorization code was used before")
    if code.expires <= world.clock.now():
        raise TokenError("invalid_grant", "the authorization code has expired")
    if uri != code.redirect_uri:
        raise TokenError("invalid_grant", "redirect_uri is not the one of the authorization")
    if not VERIFIER.fullmatch(verifier):
        raise TokenError("invalid_grant", VERIFIER_RULE)
    if not hmac.compare_digest(digest, code.challenge or ""):
        raise TokenError("invalid_grant", "code_verifier does not match the code challenge")


def _by_refresh(world: World, form: dict[str, str]) -> dict[str, Any]:
    token = world.tokens.get(_needed(form, "refresh_token"))
    now = world.clock.now()
    if token is None or token.kind != "refresh":
        raise TokenError("invalid_grant", "the refresh token is unknown")
    family = {
        key: one
        for key, one in world.tokens.items()
        if one.grant == token.grant and not one.revoked
    }
    if token.revoked and any(one.issued > now - MOMENTS_S for one in family.values()):
        raise TokenError("conflict", "the token was refreshed moments ago", 409)
    if token.revoked or (token.expires or 0) <= now:
        raise TokenError("invalid_grant", "the refresh token is no longer valid")
    scopes = tuple(form["scope"].split(" ")) if form.get("scope") else token.scopes
    if not set(token.scopes).issuperset(scopes):
        raise TokenError("invalid_scope", "scope must be a part of what was granted")
    ends = {key: msgspec.structs.replace(one, revoked=True) for key, one in family.items()}
    return _issue(world, account=token.account, grant=token.grant, scopes=scopes, ends=ends)


GRANTS: Final = {"authorization_code": _by_code, "refresh_token": _by_refresh}


def _issue(
    world: World, *, account: str, grant: str, scopes: tuple[str, ...], ends: dict[str, Token]
) -> dict[str, Any]:
    """Issue a new pair of tokens, and end the old one in the same transaction."""
    now = world.clock.now()
    access, refresh = f"oaa{secrets.token_urlsafe(48)}", f"oar{secrets.token_urlsafe(48)}"
    lifetimes = {access: ("access", ACCESS_LIFETIME_S), refresh: ("refresh", REFRESH_LIFETIME_S)}
    pair = {
        key: Token(
            kind=kind,
            account=account,
            client_id=world.client.id,
            grant=grant,
            scopes=scopes,
            expires=now + s,
            issued=now,
        )
        for key, (kind, s) in lifetimes.items()
    }
    world.tokens.put(ends | pair)
    return {
        "access_token": access,
        "refresh_token": refresh,
        "token_type": "Bearer",
        "scope": " ".join(scopes),
        "expires_in": ACCESS_LIFETIME_S,
        "refresh_expires_in": REFRESH_LIFETIME_S,
    }
