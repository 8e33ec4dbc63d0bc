"""Serve the smallest possible provider sandbox; run as a program, it serves itself alone."""

import sys
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery

from deploy.sandbox.__main__ import main
from deploy.sandbox.world import (
    AuthorizationCode,
    Token,
    World,
    chosen_account,
    consent_page,
    redirect,
)
from deploy.sandbox.world.tests.plums import Plums
from shared.errors import Forbidden

SIMULATED = Plums()
SCOPES = frozenset({"plums.read"})
AnyRequest = Request[Any, Any, Any]


def routes(world: World) -> list[HTTPRouteHandler]:
    return [*_oauth_routes(world), *_api_routes(world)]


def _oauth_routes(world: World) -> list[HTTPRouteHandler]:
    @get("/oauth/authorize")
    async def ask() -> Response[bytes]:
        return consent_page(world, provider="Plums", scopes=("plums.read",))

    @post("/oauth/authorize")
    async def decide(request: AnyRequest) -> Response[Any]:
        form = {key: str(value) for key, value in (await request.form()).items()}
        account, uri = chosen_account(world, form), world.client.redirect_uris[0]
        if account is None:
            return redirect(uri, {"error": "access_denied"})
        code = f"code-{len(world.codes)}"
        world.codes[code] = AuthorizationCode(
            account=account.id, client_id="x", redirect_uri=uri, expires=world.clock.now() + 60
        )
        return redirect(uri, {"code": code, "state": request.query_params["state"]})

    @post("/oauth/token", status_code=200)
    async def exchange(code: FromQuery[str]) -> dict[str, str]:
        found = world.codes[code]
        if found.used or found.expires < world.clock.now():
            raise Forbidden("the code is used or expired")
        world.codes[code] = msgspec.structs.replace(found, used=True)
        token = Token(
            kind="access",
            account=found.account,
            client_id="x",
            grant=code,
            issued=world.clock.now(),
        )
        world.tokens[f"token-{code}"] = token
        return {"access_token": f"token-{code}"}

    return [ask, decide, exchange]


def _api_routes(world: World) -> list[HTTPRouteHandler]:
    @get("/v1/plums")
    async def plums(request: AnyRequest) -> Response[Any]:
        token = world.tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        account = token.account if token else "acc-1"
        if world.limiter.take("token", account) is not None:
            return Response({"error": "slow down"}, status_code=429)
        rows = [row.id for row in world.rows(account, "plums").values() if not row.archived]
        return Response({"plums": rows, "next": str(request.url_for("broken"))})

    @get("/v1/broken", name="broken")
    async def broken() -> None:
        raise ValueError("a defect of the sandbox")

    return [plums, broken]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], {"plums": sys.modules[__name__]}))
