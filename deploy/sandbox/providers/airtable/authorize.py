"""Check every rule of Airtable's authorization page, then ask for consent.

https://airtable.com/developers/web/api/oauth-reference
"""

from __future__ import annotations

import re
import secrets
from html import escape
from typing import Any, Final

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from deploy.sandbox.providers.airtable.responses import AnyRequest
from deploy.sandbox.world import (
    AuthorizationCode,
    SandboxAccount,
    World,
    chosen_account,
    consent_page,
    redirect,
)
from deploy.sandbox.world.pages import headers, page
from shared.errors import BadRequest

PATH: Final = "/oauth2/v1/authorize"
CODE_LIFETIME_S: Final = 600
SCOPES: Final = frozenset(
    [
        "data.records:read",
        "data.records:write",
        "data.recordComments:read",
        "data.recordComments:write",
        "schema.bases:read",
        "schema.bases:write",
        "webhook:manage",
        "user.email:read",
    ]
)
STATE: Final = re.compile(r"[A-Za-z0-9.\-_]{16,1024}")
CHALLENGE: Final = re.compile(r"[A-Za-z0-9\-_]{43}")
NO_METHOD: Final = "none"
"""Airtable accepts a challenge without its method here, and refuses it at the exchange."""


class AuthorizationError(Exception):
    """Report a mistake of the app's to its redirect URI."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error, self.description = error, description


def authorize_routes(world: World) -> list[HTTPRouteHandler]:
    @get(PATH)
    async def ask(request: AnyRequest) -> Response[Any]:
        wrong = _wrong(world, request)
        if wrong is not None:
            return wrong
        return consent_page(
            world, provider="Airtable", scopes=tuple(request.query_params["scope"].split(" "))
        )

    @post(PATH, status_code=302)
    async def decide(request: AnyRequest) -> Response[Any]:
        wrong = _wrong(world, request)
        if wrong is not None:
            return wrong
        form = {key: str(value) for key, value in (await request.form()).items()}
        try:
            account = chosen_account(world, form)
        except BadRequest as error:
            return _page(error.detail)
        return _decided(world, request, account)

    return [ask, decide]


def _wrong(world: World, request: AnyRequest) -> Response[Any] | None:
    """Return the answer to a wrong request, None when the request is right.

    An unknown app or redirect URI gets an error page; all other mistakes are reported to the app.
    """
    query = request.query_params
    uri = query.get("redirect_uri", "")
    if query.getall("client_id", []) != [world.client.id]:
        return _page("This app is not registered: the client_id is unknown.")
    if query.getall("redirect_uri", []) != [uri] or uri not in world.client.redirect_uris:
        return _page(f"The redirect_uri {uri!r} is not one of those registered for this app.")
    try:
        _check(request)
    except AuthorizationError as error:
        state = {"state": query["state"]} if query.get("state") else {}
        return redirect(
            uri, {"error": error.error, "error_description": error.description, **state}
        )
    return None


def _check(request: AnyRequest) -> None:
    query = request.query_params
    twice = next((key for key in query if len(query.getall(key)) > 1), None)
    if twice:
        raise AuthorizationError("invalid_request", f"{twice} is given more than once")
    if query.get("response_type") != "code":
        kind = "unsupported_response_type" if query.get("response_type") else "invalid_request"
        raise AuthorizationError(kind, "response_type must be code")
    if not STATE.fullmatch(query.get("state", "")):
        raise AuthorizationError(
            "invalid_request", "state must be 16 to 1024 characters of A-Z a-z 0-9 . - _"
        )
    if not CHALLENGE.fullmatch(query.get("code_challenge", "")):
        raise AuthorizationError(
            "invalid_request", "code_challenge must be the base64url SHA-256 of the code verifier"
        )
    if query.get("code_challenge_method", "S256") != "S256":
        raise AuthorizationError("invalid_request", "code_challenge_method must be S256")
    scopes = query.get("scope", "").split(" ")
    if len(set(scopes)) < len(scopes) or not SCOPES.issuperset(scopes):
        raise AuthorizationError(
            "invalid_scope", "scope must name at least one scope, each of them known and only once"
        )


def _decided(world: World, request: AnyRequest, account: SandboxAccount | None) -> Response[Any]:
    query = request.query_params
    uri, state = query["redirect_uri"], query["state"]
    if account is None:
        refusal = {
            "error": "access_denied",
            "error_description": "The user denied access",
            "state": state,
        }
        return redirect(uri, refusal)
    method = query.get("code_challenge_method", NO_METHOD)
    code = secrets.token_hex(32)
    world.codes[code] = AuthorizationCode(
        account=account.id,
        client_id=world.client.id,
        redirect_uri=uri,
        scopes=tuple(query["scope"].split(" ")),
        challenge=query["code_challenge"] if method == "S256" else NO_METHOD,
        expires=world.clock.now() + CODE_LIFETIME_S,
    )
    challenge = {"code_challenge": query["code_challenge"], "code_challenge_method": "S256"}
    return redirect(uri, {"code": code, "state": state, **challenge})


def _page(reason: str) -> Response[bytes]:
    body = (
        f'<span class="mark">Simulated</span><h1>Airtable cannot go on</h1><p>{escape(reason)}</p>'
    )
    html = page("Airtable (simulated)", body)
    return Response(html, status_code=400, media_type="text/html; charset=utf-8", headers=headers())
