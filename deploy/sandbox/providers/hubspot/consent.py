"""Serve ``/oauth/authorize``: check all parameters, then ask; show errors on the page."""

from __future__ import annotations

import re
import uuid
from html import escape
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from deploy.sandbox.providers.hubspot.catalogue import SCOPES
from deploy.sandbox.providers.hubspot.data import domain
from deploy.sandbox.providers.hubspot.responses import AnyRequest, ErrorResponse
from deploy.sandbox.world import AuthorizationCode, World, chosen_account, consent_page, redirect

CODE_S: Final = 600
"""HubSpot says only that a code is short-lived, not how long it lives."""
CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")


class AuthorizationRequest(msgspec.Struct, frozen=True):
    """Hold the parameters of a valid authorization request."""

    redirect_uri: str
    scopes: tuple[str, ...]
    state: str | None
    challenge: str | None


def consent_routes(world: World) -> list[HTTPRouteHandler]:
    @get("/oauth/authorize")
    async def ask(request: AnyRequest) -> Response[Any]:
        scopes = _authorization(world, request).scopes
        return consent_page(
            world,
            provider="HubSpot",
            scopes=scopes,
            known_as=lambda account: f"{domain(account)}, {account.id}",
        )

    @post("/oauth/authorize", status_code=302)
    async def decide(request: AnyRequest) -> Response[Any]:
        authorization = _authorization(world, request)
        form = dict(
            parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)
        )
        return _decided(world, authorization, form)

    return [ask, decide]


def _decided(
    world: World, authorization: AuthorizationRequest, form: dict[str, str]
) -> Response[Any]:
    state = {} if authorization.state is None else {"state": authorization.state}
    account = chosen_account(world, form)
    if account is None:
        denied = {"error": "access_denied", "error_description": "The user denied the request."}
        return redirect(authorization.redirect_uri, denied | state)
    code = f"na1-{uuid.uuid4()}"
    world.codes[code] = AuthorizationCode(
        account=account.id,
        client_id=world.client.id,
        redirect_uri=authorization.redirect_uri,
        scopes=authorization.scopes,
        challenge=authorization.challenge,
        expires=world.clock.now() + CODE_S,
    )
    return redirect(authorization.redirect_uri, {"code": code} | state)


def _authorization(world: World, request: AnyRequest) -> AuthorizationRequest:
    """Return the request's parameters.

    Raises:
        ErrorResponse: a parameter is wrong; HubSpot's error page says which one.
    """
    pairs = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    params = dict(pairs)
    if len(params) != len(pairs):
        raise _page("a parameter is given twice")
    if params.get("client_id") != world.client.id:
        raise _page("the client_id is missing or unknown")
    if params.get("redirect_uri") not in world.client.redirect_uris:
        raise _page("the redirect_uri is missing or not one of the app's")
    if params.get("response_type", "code") != "code":
        raise _page("the response_type can only be code")
    return AuthorizationRequest(
        params["redirect_uri"], _scopes(params), params.get("state"), _challenge(params)
    )


def _scopes(params: dict[str, str]) -> tuple[str, ...]:
    """Return the scopes; required ones must be known, unknown optional ones are dropped."""
    required = params.get("scope", "").split()
    if "oauth" not in required or not SCOPES.issuperset(required):
        raise _page("the scopes of the address do not match the scopes of the app")
    optional = [scope for scope in params.get("optional_scope", "").split() if scope in SCOPES]
    return tuple(dict.fromkeys(required + optional))


def _challenge(params: dict[str, str]) -> str | None:
    challenge = params.get("code_challenge")
    if challenge is None and "code_challenge_method" not in params:
        return None
    if params.get("code_challenge_method") != "S256" or not CHALLENGE.fullmatch(challenge or ""):
        raise _page("the code_challenge has to be made with the method S256")
    return challenge


def _page(reason: str) -> ErrorResponse:
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>HubSpot '
        "(simulated)</title></head><body>"
        f"<h1>Authorization failed</h1><p>This link cannot be used: {escape(reason)}. Ask the "
        "app's developer to "
        "correct it, then try again.</p></body></html>"
    )
    return ErrorResponse(
        Response(html.encode(), status_code=400, media_type="text/html; charset=utf-8")
    )
