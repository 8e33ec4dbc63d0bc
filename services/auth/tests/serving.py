"""Serve all of auth on real sockets: sandboxes, local broker and service, on free ports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import httpx

from deploy.sandbox import create_app as create_sandbox
from deploy.sandbox import sandbox_clients
from deploy.sandbox.world import SandboxClient
from services.auth.app import create_app
from services.auth.settings import AuthSettings
from services.auth.tests.fake_provider import runtime
from services.auth.tests.harness import KEY
from shared.connector import Provider
from shared.contracts.envelope import Message
from shared.installation import ProviderRuntime
from shared.kafka import Producer
from shared.providers import load_providers
from shared.settings import Cluster, SecretStr
from tests.support.kafka import local_kafka
from tests.support.serving import served

SERVICE_SECRET = "service-secret-0123456789-0123456789"
BEARER = {"authorization": f"Bearer {SERVICE_SECRET}"}
PUBLIC = "http://localhost:8000"
PROVIDERS = load_providers()


def at_sandbox(provider: Provider, client: SandboxClient, sandbox: str) -> ProviderRuntime:
    def moved(url: str) -> str:
        return f"{sandbox}/{provider.slug}{urlsplit(url).path}".rstrip("/")

    return ProviderRuntime(
        provider=provider,
        client_id=client.id,
        client_secret=SecretStr(client.secret),
        scopes=provider.oauth.scopes,
        authorize_url=moved(provider.oauth.authorize_url),
        token_url=moved(provider.oauth.token_url),
        api_url=moved(provider.api_url),
    )


@dataclass
class Stack:
    """``auth`` carries the service secret; ``control`` is the sandbox."""

    auth: httpx.AsyncClient
    control: httpx.AsyncClient
    kafka: str

    async def consent(self, slug: str, org: str = "o1") -> dict[str, Any]:
        """Go from the start of a flow to the callback's result."""
        started = await self.auth.post(
            "/flows", json={"provider": slug, "org_id": org, "user_id": "u1"}
        )
        assert started.status_code == 201, started.text
        flow_id = started.json()["flow_id"]
        opened = (await self.auth.post(f"/flows/{flow_id}/open")).json()
        answer = await self.control.post(opened["authorize_url"], data={"decision": "allow"})
        assert answer.status_code == 302, answer.text
        params = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
        body = {"provider": slug, "params": params, "cookies": {flow_id: opened["cookie"]}}
        return dict((await self.auth.post("/callback", json=body)).json())

    async def token(self, connection: str, stale_version: int | None = None) -> httpx.Response:
        return await self.auth.post(
            f"/connections/{connection}/token", json={"stale_version": stale_version}
        )

    async def asked(self, slug: str, path: str) -> int:
        """Return how often the sandbox was asked for a path that ends in this."""
        entries = (await self.control.get(f"/_sandbox/{slug}/requests")).json()["items"]
        return sum(entry["path"].rstrip("/").endswith(path) for entry in entries)


@asynccontextmanager
async def open_stack(folder: Path) -> AsyncIterator[Stack]:
    clients = sandbox_clients(folder, PUBLIC, PROVIDERS)
    async with (
        local_kafka(folder / "log") as kafka,
        served(lambda _: create_sandbox(folder, clients)) as sandbox,
    ):
        runtimes = {slug: at_sandbox(PROVIDERS[slug], clients[slug], sandbox) for slug in PROVIDERS}
        async with (
            served(lambda _: create_app(_settings(folder, runtimes, kafka))) as url,
            httpx.AsyncClient(base_url=url, headers=BEARER, timeout=30) as auth,
            httpx.AsyncClient(base_url=sandbox, timeout=30) as control,
        ):
            yield Stack(auth, control, kafka)


class SentNowhere:
    """A producer whose messages are all acknowledged."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def send_all(self, messages: Sequence[Message]) -> dict[int, int]:
        return {0: len(messages)}


@asynccontextmanager
async def open_door(folder: Path) -> AsyncIterator[str]:
    """Serve auth alone, for requests that go no further; yield its base URL."""
    settings = _settings(folder, {"acme": runtime()}, kafka="")
    app = create_app(settings, make_producer=lambda: cast("Producer", SentNowhere()))
    async with served(lambda _: app) as url:
        yield url


def _settings(folder: Path, providers: dict[str, ProviderRuntime], kafka: str) -> AuthSettings:
    return AuthSettings(
        database=folder / "auth.db",
        keyring=KEY,
        service_secret=SecretStr(SERVICE_SECRET),
        public_url=PUBLIC,
        providers=providers,
        kafka=Cluster(bootstrap=kafka),
    )
