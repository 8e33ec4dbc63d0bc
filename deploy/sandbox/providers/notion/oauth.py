"""Simulate consent, tokens and revocation: developers.notion.com/docs/authorization.

Where the page is silent the sandbox is strict. A code lives ten minutes and can be tried once. A
refresh ends the old pair at once. Every consent has a pair of its own.
"""

from __future__ import annotations

import secrets
from html import escape
from typing import Any, Final

from litestar import MediaType, Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.response import Redirect
from msgspec.structs import replace

from deploy.sandbox.providers.notion.people import about_bot, bot_id
from deploy.sandbox.providers.notion.request import SandboxRequest, for_client
from deploy.sandbox.providers.notion.responses import ErrorResponse, only
from deploy.sandbox.providers.notion.values import Json
from deploy.sandbox.world import (
    AuthorizationCode,
    Token,
    World,
    chosen_account,
    consent_page,
    redirect,
)
from deploy.sandbox.world.pages import headers, page

CODE_LIFETIME_S: Final = 600.0
CODE_FIELDS: Final = ("grant_type", "code", "redirect_uri", "external_account")
REFRESH_FIELDS: Final = ("grant_type", "refresh_token")
Seen = Request[Any, Any, Any]


def oauth_routes(world: World) -> list[HTTPRouteHandler]:
    @get("/v1/oauth/authorize", name="notion consent page")
    async def ask(request: Seen) -> Response[Any]:
        return _refusal(world, request) or consent_page(
            world, provider="Notion", scopes=(), known_as=lambda account: bot_id(world, account)
        )

    @post("/v1/oauth/authorize", name="notion consent", status_code=200)
    async def decide(request: Seen) -> Response[Any]:
        form = {name: str(value) for name, value in (await request.form()).items()}
        return _refusal(world, request) or _decided(world, request, form)

    return [
        ask,
        decide,
        for_client(world, "/v1/oauth/token", _token),
        for_client(world, "/v1/oauth/revoke", _revoke),
        for_client(world, "/v1/oauth/introspect", _introspect),
    ]


def _refusal(world: World, request: Seen) -> Response[Any] | None:
    """Return the answer to a wrong authorize URL; it never redirects to an unregistered URI."""
    params = request.query_params
    if params.get("client_id") != world.client.id:
        return _error_page("Missing or invalid client_id.")
    if params.get("redirect_uri") not in world.client.redirect_uris:
        return _error_page(
            "Missing or invalid redirect_uri: it has to be one of those registered, letter by "
            "letter."
        )
    if params.get("response_type") != "code":
        return _back(request, {"error": "unsupported_response_type"})
    if params.get("owner") != "user":
        return _back(
            request, {"error": "invalid_request", "error_description": "owner should be user"}
        )
    return None


def _error_page(what: str) -> Response[bytes]:
    body = (
        '<span class="mark">Simulated</span><h1>This connection could not be '
        f"started</h1><p>{escape(what)}</p>"
    )
    content = page("Notion (simulated)", body)
    return Response(content, status_code=400, media_type=MediaType.HTML, headers=headers())


def _back(request: Seen, params: dict[str, str]) -> Redirect:
    state = request.query_params.get("state")
    return redirect(
        request.query_params["redirect_uri"], params | ({} if state is None else {"state": state})
    )


def _decided(world: World, request: Seen, form: dict[str, str]) -> Redirect:
    account = chosen_account(world, form)
    if account is None:
        return _back(request, {"error": "access_denied"})
    code = f"03{secrets.token_urlsafe(24)}"
    world.codes[code] = AuthorizationCode(
        account=account.id,
        client_id=world.client.id,
        redirect_uri=request.query_params["redirect_uri"],
        expires=world.clock.now() + CODE_LIFETIME_S,
    )
    return _back(request, {"code": code})


def _token(request: SandboxRequest) -> Json:
    match request.body.get("grant_type"):
        case "authorization_code":
            return _exchange(request)
        case "refresh_token":
            return _refresh(request)
        case _:
            raise ErrorResponse(
                "invalid_request",
                "body.grant_type should be `authorization_code` or `refresh_token`.",
            )


def _exchange(request: SandboxRequest) -> Json:
    only(request.body, CODE_FIELDS)
    world, given = request.world, _text(request, "code")
    code = world.codes.get(given)
    if code is None or code.used:
        raise ErrorResponse("invalid_grant", "Invalid code: this code has been revoked.")
    world.codes[given] = replace(code, used=True)
    if world.clock.now() > code.expires:
        raise ErrorResponse("invalid_grant", "Invalid code: this code has expired.")
    if request.body.get("redirect_uri") != code.redirect_uri:
        raise ErrorResponse(
            "invalid_grant", "Invalid redirect_uri: it is not the one this code was given to."
        )
    account = world.accounts[code.account]
    return _pair(world, code.account, f"{bot_id(world, account)}/{secrets.token_hex(8)}", {})


def _refresh(request: SandboxRequest) -> Json:
    only(request.body, REFRESH_FIELDS)
    world = request.world
    token = world.tokens.get(_text(request, "refresh_token"))
    if token is None or token.kind != "refresh" or token.revoked:
        raise ErrorResponse("invalid_grant", "Invalid refresh token: this token has been revoked.")
    return _pair(world, token.account, token.grant, _ended(world, token.grant))


def _ended(world: World, grant: str) -> dict[str, Token]:
    """Return the live tokens of a grant, marked as revoked."""
    live = (item for item in world.tokens.items() if item[1].grant == grant and not item[1].revoked)
    return {key: replace(token, revoked=True) for key, token in live}


def _pair(world: World, account: str, grant: str, ended: dict[str, Token]) -> Json:
    access, refresh = f"ntn_{secrets.token_urlsafe(33)}", f"nrt_{secrets.token_urlsafe(33)}"
    now, client = world.clock.now(), world.client.id
    made = {
        key: Token(kind=kind, account=account, client_id=client, grant=grant, issued=now)
        for key, kind in ((access, "access"), (refresh, "refresh"))
    }
    world.tokens.put(ended | made)
    named = {"access_token": access, "token_type": "bearer", "refresh_token": refresh}
    return {**named, **about_bot(world, world.accounts[account])}


def _revoke(request: SandboxRequest) -> Json:
    only(request.body, ("token",))
    token = request.world.tokens.get(_text(request, "token"))
    if token is not None and token.kind == "access" and not token.revoked:
        request.world.tokens.put(_ended(request.world, token.grant))
    return {}


def _introspect(request: SandboxRequest) -> Json:
    only(request.body, ("token",))
    token = request.world.tokens.get(_text(request, "token"))
    if token is None or token.revoked:
        return {"active": False}
    return {"active": True, "iat": int(token.issued * 1000)}


def _text(request: SandboxRequest, name: str) -> str:
    given = request.body.get(name)
    if not isinstance(given, str) or not given:
        raise ErrorResponse(
            "invalid_request",
            f"body failed validation: body.{name} should be defined, and a string.",
        )
    return given
