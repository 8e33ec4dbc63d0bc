"""Serve the sandbox on a real port, and go through its OAuth as an app does."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from litestar import Litestar, Router

from deploy.sandbox.providers.hubspot import SIMULATED, routes
from deploy.sandbox.world import Clock, SandboxClient, Store, World
from shared.providers.hubspot import PROVIDER
from tests.support.serving import served_in_thread
from tests.support.waiting import PATIENCE_S

CLIENT = SandboxClient(
    id="app-client", secret="app-secret", redirect_uris=("http://localhost:8000/callback",)
)
REDIRECT = CLIENT.redirect_uris[0]
VERIFIER = "a-verifier-of-more-than-forty-three-characters-0123456789"
CHALLENGE = urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


@dataclass(frozen=True)
class Serving:
    """Hold a running sandbox.

    ``url`` is the provider's root, where ``http`` calls; ``folder`` holds the state.
    """

    world: World
    folder: Path
    url: str
    http: httpx.Client


@contextmanager
def serving(folder: Path) -> Iterator[Serving]:
    """Serve the state in ``folder``; serving it again is what a restart does."""
    with closing(Store(folder / "sandbox.sqlite3")) as store:
        world = World(SIMULATED, store, Clock(store), CLIENT)
        app = Litestar(
            [Router(path="/hubspot", route_handlers=routes(world))],
            openapi_config=None,
            logging_config=None,
        )
        # A client that checks certificates takes 60 ms to create.
        with (
            served_in_thread(app) as url,
            httpx.Client(base_url=f"{url}/hubspot", verify=False, timeout=PATIENCE_S) as http,
        ):
            yield Serving(world, folder, f"{url}/hubspot", http)


def authorize_params(**changed: str | None) -> dict[str, str]:
    params: dict[str, str | None] = {
        "client_id": CLIENT.id,
        "redirect_uri": REDIRECT,
        "scope": " ".join(PROVIDER.oauth.scopes),
        "state": "s-1",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **changed,
    }
    return {name: value for name, value in params.items() if value is not None}


def consent(
    sandbox: Serving, *, form: dict[str, str] | None = None, **changed: str | None
) -> dict[str, str]:
    """Decide on the consent page; return the query of the redirect that follows."""
    form = form or {"decision": "allow"}
    reply = sandbox.http.post("/oauth/authorize", params=authorize_params(**changed), data=form)
    assert reply.status_code == 302, reply.text
    query = parse_qs(urlsplit(reply.headers["location"]).query)
    return {name: values[0] for name, values in query.items()}


def token_form(code: str, **changed: str | None) -> dict[str, str]:
    form: dict[str, str | None] = {
        "grant_type": "authorization_code",
        "client_id": CLIENT.id,
        "client_secret": CLIENT.secret,
        "redirect_uri": REDIRECT,
        "code": code,
        "code_verifier": VERIFIER,
        **changed,
    }
    return {name: value for name, value in form.items() if value is not None}


def tokens(
    sandbox: Serving, *, account: str = "", scopes: tuple[str, ...] = PROVIDER.oauth.scopes
) -> dict[str, Any]:
    """Return a new grant, as the provider answers it."""
    form = {"decision": "allow", "account": account}
    code = consent(sandbox, form=form, scope=" ".join(scopes))["code"]
    reply = sandbox.http.post("/oauth/2026-03/token", data=token_form(code))
    assert reply.status_code == 200, reply.text
    body: dict[str, Any] = reply.json()
    return body
