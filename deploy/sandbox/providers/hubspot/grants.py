"""Look up tokens and end them: revoke, introspect, the v1 look-ups, uninstall."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from litestar import Response, delete, get, post
from litestar.handlers import HTTPRouteHandler

from deploy.sandbox.providers.hubspot.catalogue import VERSIONS
from deploy.sandbox.providers.hubspot.data import domain
from deploy.sandbox.providers.hubspot.responses import AnyRequest, admit, api_error, respond
from deploy.sandbox.providers.hubspot.tokens import authenticate, read_form, user_id
from deploy.sandbox.world import Token, World

PATHS: Final = [f"/oauth/{version}/token" for version in sorted(VERSIONS)]
"""Added after v1, which does not have them."""
APP_ID: Final = 161_100


def grant_routes(world: World) -> list[HTTPRouteHandler]:
    @post([f"{path}/revoke" for path in PATHS], status_code=200)
    async def revoke(request: AnyRequest) -> Response[bytes]:
        form = await read_form(request)
        authenticate(world, form)
        _revoke(world, form.get("token", ""))
        return respond({})

    @post([f"{path}/introspect" for path in PATHS], status_code=200)
    async def introspect(request: AnyRequest) -> Response[bytes]:
        form = await read_form(request)
        authenticate(world, form)
        return respond(_introspected(world, form.get("token", "")))

    @delete("/appinstalls/v3/external-install", status_code=204)
    async def uninstall(request: AnyRequest) -> None:
        account = admit(world, request, scope="oauth").token.account
        mine = {value: token for value, token in world.tokens.items() if token.account == account}
        world.tokens.put(
            {value: msgspec.structs.replace(token, revoked=True) for value, token in mine.items()}
        )

    return [revoke, introspect, uninstall, *_legacy_routes(world)]


def _legacy_routes(world: World) -> list[HTTPRouteHandler]:
    @get("/oauth/v1/access-tokens/{value:str}")
    async def access(request: AnyRequest) -> Response[bytes]:
        value: str = request.path_params["value"]
        token = _live(world, value, "access")
        about = {
            **_about(world, token),
            "expires_in": _left(world, token),
            "app_id": APP_ID,
            "token_type": "access",
        }
        return respond({"token": value, **about})

    @get("/oauth/v1/refresh-tokens/{value:str}")
    async def refresh(request: AnyRequest) -> Response[bytes]:
        value: str = request.path_params["value"]
        token = _live(world, value, "refresh")
        return respond(
            {
                "token": value,
                **_about(world, token),
                "client_id": token.client_id,
                "token_type": "refresh",
            }
        )

    @delete("/oauth/v1/refresh-tokens/{value:str}", status_code=204)
    async def forget(request: AnyRequest) -> None:
        value: str = request.path_params["value"]
        _live(world, value, "refresh")
        _revoke(world, value)

    return [access, refresh, forget]


def _revoke(world: World, value: str) -> None:
    """Revoke a token; access tokens of the same grant stay valid until they expire."""
    token = world.tokens.get(value)
    if token is not None:
        world.tokens[value] = msgspec.structs.replace(token, revoked=True)


def _introspected(world: World, value: str) -> dict[str, Any]:
    token = world.tokens.get(value)
    if token is None or token.revoked or _left(world, token) <= 0:
        return {"active": False}
    use = {"access": "access_token", "refresh": "refresh_token"}[token.kind]
    body = {
        "active": True,
        "token": value,
        "token_type": "Bearer",
        "token_use": use,
        "client_id": token.client_id,
    }
    body |= {**_about(world, token), "app_id": APP_ID, "is_private_distribution": False}
    return body if token.expires is None else {**body, "expires_in": _left(world, token)}


def _about(world: World, token: Token) -> dict[str, Any]:
    return {
        "hub_id": int(token.account),
        "hub_domain": domain(world.accounts[token.account]),
        "user": "sam@northwind.example",
        "user_id": user_id(token.account),
        "scopes": list(token.scopes),
    }


def _left(world: World, token: Token) -> int:
    """Return whole seconds until the token expires; a refresh token never does."""
    return 1 if token.expires is None else int(token.expires - world.clock.now())


def _live(world: World, value: str, kind: str) -> Token:
    token = world.tokens.get(value)
    if token is None or token.kind != kind or token.revoked or _left(world, token) <= 0:
        raise api_error(404, f"{kind} token not found", category="OBJECT_NOT_FOUND")
    return token
