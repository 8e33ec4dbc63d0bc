"""Serve a simulated Airtable on a free port, and go through its OAuth as an app does."""

import base64
import hashlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
from litestar import Litestar, Router

from deploy.sandbox.providers.airtable import SIMULATED, routes
from deploy.sandbox.world import Clock, SandboxClient, Store, World
from shared.providers.airtable import PROVIDER
from tests.support.serving import served_in_thread

CLIENT = SandboxClient(
    id="our-app", secret="our-secret", redirect_uris=("http://localhost:8000/connect/callback",)
)
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
STATE = "0123456789abcdef.-_Z"


# Loading the CA bundle would cost every request 60 ms.
http_get = partial(httpx.get, verify=False)
http_post = partial(httpx.post, verify=False)


@contextmanager
def opened(folder: Path, client: SandboxClient = CLIENT) -> Iterator[World]:
    """Yield the world kept in ``folder``; opening it again is what a restart does."""
    with closing(Store(folder / "sandbox.db")) as store:
        yield World(SIMULATED, store, Clock(store), client)


@contextmanager
def serving(world: World) -> Iterator[str]:
    """Yield the provider's root: it stands in for api.airtable.com and airtable.com."""
    app = Litestar([Router(path="/airtable", route_handlers=routes(world))], openapi_config=None)
    with served_in_thread(app) as url:
        yield f"{url}/airtable"


def challenge(verifier: str = VERIFIER) -> str:
    return (
        base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    )


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
    """Return what the browser carries back to the app."""
    assert answer.status_code == 302, answer.text
    return {
        key: values[0]
        for key, values in parse_qs(urlsplit(answer.headers["location"]).query).items()
    }


def consent(url: str, account: str | None = None, **changes: str | None) -> dict[str, str]:
    form = {"decision": "allow"} | ({"account": account} if account else {})
    return returned(
        http_post(f"{url}/oauth2/v1/authorize", params=authorize_query(**changes), data=form)
    )


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
