"""Serve the sandbox on a real port, and go through its OAuth as an app does."""

import base64
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from litestar import Litestar, Router
from typing_extensions import override

from deploy.sandbox.providers.notion import SIMULATED, routes
from deploy.sandbox.world import Clock, SandboxClient, Store, World
from shared.providers.notion import VERSION
from tests.support.serving import served
from tests.support.waiting import PATIENCE_S

CLIENT = SandboxClient(
    id="client-1", secret="not so secret", redirect_uris=("http://127.0.0.1:9/callback",)
)
REDIRECT = CLIENT.redirect_uris[0]
BASIC = {
    "Authorization": "Basic " + base64.b64encode(f"{CLIENT.id}:{CLIENT.secret}".encode()).decode()
}
VERSIONED = {"Notion-Version": VERSION}
AUTHORIZE = {
    "client_id": CLIENT.id,
    "redirect_uri": REDIRECT,
    "response_type": "code",
    "owner": "user",
    "state": "s&1",
}
Fault = Callable[[httpx.Request], httpx.Response | None]


@contextmanager
def opened(folder: Path) -> Iterator[World]:
    """Yield the world kept in ``folder``; opening it again is what a restart does."""
    with closing(Store(folder / "sandbox.sqlite")) as store:
        yield World(SIMULATED, store, Clock(store), CLIENT)


@asynccontextmanager
async def serving(world: World) -> AsyncIterator[str]:
    """Serve the sandbox; yield the provider's root."""
    app = Litestar(
        [Router(path="/notion", route_handlers=routes(world))],
        openapi_config=None,
        logging_config=None,
    )
    async with served(lambda _: app) as url:
        yield f"{url}/notion"


class Faulty(httpx.AsyncHTTPTransport):
    """Stand in for the network; some requests never reach the sandbox."""

    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self._fault = fault

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self._fault(request) or await super().handle_async_request(request)


class Session:
    """Hold a connected app with its pair of tokens."""

    def __init__(self, http: httpx.AsyncClient, world: World, reply: dict[str, Any]) -> None:
        self.http, self.world, self.reply = http, world, reply

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.reply['access_token']}", **VERSIONED}


async def consent(http: httpx.AsyncClient, **form: str) -> dict[str, str]:
    """Return the query that a consent sends back to the app."""
    answer = await http.post(
        "/v1/oauth/authorize", params=AUTHORIZE, data={"decision": "allow", **form}
    )
    assert answer.status_code == 302, answer.text
    return {
        name: values[0]
        for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()
    }


async def token(http: httpx.AsyncClient, body: dict[str, Any]) -> httpx.Response:
    return await http.post("/v1/oauth/token", json=body, headers=BASIC | VERSIONED)


async def exchange(http: httpx.AsyncClient, code: str) -> httpx.Response:
    return await token(
        http, {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT}
    )


@asynccontextmanager
async def connected(
    world: World, account: str = "", fault: Fault | None = None
) -> AsyncIterator[Session]:
    transport = Faulty(fault) if fault else None
    async with (
        serving(world) as base,
        httpx.AsyncClient(
            base_url=base, transport=transport, trust_env=False, timeout=PATIENCE_S
        ) as http,
    ):
        given = await consent(http, **({"account": account} if account else {}))
        answer = await exchange(http, given["code"])
        assert answer.status_code == 200, answer.text
        yield Session(http, world, answer.json())


def live(world: World, resource: str, account: str = "") -> dict[str, str]:
    """Return id → modified of the live rows."""
    rows = world.rows(account or SIMULATED.default.id, resource).values()
    return {row.id: row.modified for row in rows if not row.archived}
