"""A simulated Airtable on a free port, and a Call that speaks to it as a connection would."""

import base64
import hashlib
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import uvicorn
from litestar import Litestar, Router

from shared.connector import Connector, Interruption, Page, Request, Response
from shared.providers.airtable import PROVIDER
from shared.providers.airtable.connector import CONNECTOR
from shared.providers.airtable.sandbox import SIMULATED, routes
from shared.sandbox import Client, Clock, Store, World

CLIENT = Client(id="our-app", secret="our-secret", redirect_uris=("http://localhost:8000/connect/callback",))
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
STATE = "0123456789abcdef.-_Z"


# A context without the CA bundle: loading it costs every request 60 ms.
http_get = partial(httpx.get, verify=False)
http_post = partial(httpx.post, verify=False)


def open_world(folder: Path, client: Client = CLIENT) -> World:
    store = Store(folder / "sandbox.db")
    return World(SIMULATED, store, Clock(store), client)


@contextmanager
def serving(world: World) -> Iterator[str]:
    """The provider's root: what stands for ``https://api.airtable.com`` and ``https://airtable.com``."""
    app = Litestar([Router(path="/airtable", route_handlers=routes(world))], openapi_config=None)
    # With the protocol named, accepted sockets get TCP_NODELAY: without it each answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/airtable"
    finally:
        server.should_exit = True
        thread.join()


def challenge(verifier: str = VERIFIER) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def authorize_query(**changes: str | None) -> dict[str, str]:
    query = {
        "client_id": CLIENT.id,
        "redirect_uri": CLIENT.redirect_uris[0],
        "response_type": "code",
        "scope": " ".join(PROVIDER.oauth.scopes),
        "state": STATE,
        "code_challenge": challenge(),
        "code_challenge_method": "S256",
    } | changes
    return {key: value for key, value in query.items() if value is not None}


def returned(answer: httpx.Response) -> dict[str, str]:
    """What the browser carries back to the app."""
    assert answer.status_code == 302, answer.text
    return {key: values[0] for key, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}


def consent(url: str, account: str | None = None, **changes: str | None) -> dict[str, str]:
    form = {"decision": "allow"} | ({"account": account} if account else {})
    return returned(http_post(f"{url}/oauth2/v1/authorize", params=authorize_query(**changes), data=form))


def exchange(url: str, code: str, **changes: str) -> httpx.Response:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": CLIENT.redirect_uris[0],
        "code_verifier": VERIFIER,
    }
    return http_post(f"{url}/oauth2/v1/token", data=form | changes, auth=(CLIENT.id, CLIENT.secret))


def refresh(url: str, token: str, **changes: str) -> httpx.Response:
    form = {"grant_type": "refresh_token", "refresh_token": token} | changes
    return http_post(f"{url}/oauth2/v1/token", data=form, auth=(CLIENT.id, CLIENT.secret))


def access_token(url: str, account: str | None = None, **changes: str | None) -> str:
    answer = exchange(url, consent(url, account, **changes)["code"])
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["access_token"]
    return token


class RealCall:
    """Sends over HTTP with the token and raises what the connector says of the answer."""

    def __init__(self, url: str, token: str, connector: Connector = CONNECTOR) -> None:
        self._http = httpx.AsyncClient(verify=False, base_url=url, headers={"Authorization": f"Bearer {token}"})
        self._connector = connector
        self.sent: list[Request] = []

    async def __call__(self, request: Request) -> Response:
        self.sent.append(request)
        params = httpx.QueryParams(request.params)
        answer = await self._http.request(request.method, request.path, params=params, headers=request.headers)
        response = read(answer)
        interruption = self._connector.problem(response)
        if interruption is not None:
            raise interruption
        return response

    async def aclose(self) -> None:
        await self._http.aclose()


def read(answer: httpx.Response) -> Response:
    is_json = answer.headers.get("content-type", "").startswith("application/json")
    body = msgspec.json.decode(answer.content) if is_json else None
    return Response(status=answer.status_code, headers=dict(answer.headers), body=body)


class ScriptedCall:
    """Answers by path, one after the other, without a network; the last answer of a path stays."""

    def __init__(self, answers: Mapping[str, Sequence[object]]) -> None:
        self._answers = {path: list(several) for path, several in answers.items()}
        self.sent: list[Request] = []

    async def __call__(self, request: Request) -> Response:
        self.sent.append(request)
        several = self._answers[request.path]
        answer = several.pop(0) if len(several) > 1 else several[0]
        if isinstance(answer, Interruption):
            raise answer
        return Response(status=200, headers={}, body=answer)


async def walk(call: RealCall | ScriptedCall, resource: str) -> list[Page]:
    """Every page of a resource, the cursor taken through JSON each time as the fetcher does."""
    pages = [await CONNECTOR.page(call, resource, None)]
    while pages[-1].cursor is not None:
        assert len(pages) < 500
        cursor = msgspec.json.decode(msgspec.json.encode(pages[-1].cursor))
        pages.append(await CONNECTOR.page(call, resource, cursor))
    return pages
