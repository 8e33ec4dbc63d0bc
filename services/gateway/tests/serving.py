"""The gateway on real sockets, with the local broker and a fake auth service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
from aiokafka import AIOKafkaConsumer
from typing_extensions import override

from services.gateway.app import create_app
from services.gateway.settings import ConfiguredProvider, GatewaySettings
from services.gateway.tests.declared import only_declared_errors
from services.gateway.tests.fake_auth import FakeAuth
from shared.contracts.connections import Connection
from shared.contracts.envelope import Message, event, timestamp
from shared.contracts.items import Item, ItemRef, deletion, upsert
from shared.contracts.progress import FINAL, JobProgress
from shared.contracts.topics import CONNECTIONS, PROGRESS
from shared.kafka import Producer
from shared.providers import load_providers
from shared.settings import Cluster, SecretStr
from tests.support.kafka import local_kafka
from tests.support.serving import served
from tests.support.waiting import PATIENCE_S, until

SECRET = SecretStr("a-service-secret-of-some-length-0123456789")
ALLOWED = "http://localhost:3000"
PROVIDERS = load_providers()
Fields = Mapping[str, Any]


@dataclass
class Gateway:
    """A running gateway.

    ``http`` calls it as a program does, without cookies or redirects, and fails the test that gets
    an error which the contract does not declare.
    """

    url: str
    http: httpx.AsyncClient
    auth: FakeAuth
    producer: Producer
    settings: GatewaySettings

    async def connect(
        self, provider: str = "notion", *, user: str = "demo", account: str = "one"
    ) -> Connection:
        """Consent as a person would, in a browser that keeps its cookie."""
        started = await self.http.post(
            "/v1/connect",
            json={"provider": provider, "org_id": "demo", "user_id": user},
            headers={"origin": ALLOWED},
        )
        started.raise_for_status()
        back = await self.come_back(started.json()["flow_id"], provider, code=account)
        assert back.status_code == 200, back.text
        return self.auth.connections[max(self.auth.connections)]

    async def come_back(self, flow_id: str, provider: str, **params: str) -> httpx.Response:
        """Open the short link, then call back with its cookie and state as the provider would."""
        opened = await self.http.get(f"/connect/{flow_id}")
        assert opened.status_code == 302, opened.text
        state = parse_qs(urlsplit(opened.headers["location"]).query)["state"][0]
        cookie = opened.headers["set-cookie"].partition(";")[0]
        return await self.http.get(
            f"/integrations/{provider}/oauth2callback",
            params={"state": state, **params},
            headers={"cookie": cookie},
        )

    async def publish(
        self, connection: Connection, resource: str, items: Sequence[Fields], *, version: int = 1
    ) -> Any:
        """Send items as the fetcher does, and return their positions in the log."""
        return await self.producer.send_all(
            [item(connection, resource, version=version, **one) for one in items]
        )

    async def progress(
        self, sync: str, connection: Connection, resource: str, **known: Any
    ) -> None:
        if known["state"] in FINAL:
            known = {"ended_at": timestamp(), **known}
        body = JobProgress(
            sync_id=sync,
            job_id=f"job-{sync}-{resource}",
            connection_id=connection.id,
            resource=resource,
            **known,
        )
        await self.producer.send_all(
            [event(PROGRESS, key=sync, kind="PageLoaded", source="fetcher", body=body)]
        )

    async def load(
        self, sync: str, connection: Connection, found: Mapping[str, Sequence[Fields]]
    ) -> None:
        """Report a whole sync as the fetcher does: every resource, empty where none is given."""
        for resource in PROVIDERS[connection.provider].resources:
            items = found.get(resource.slug, ())
            at = await self.publish(connection, resource.slug, items)
            await self.progress(
                sync,
                connection,
                resource.slug,
                step=9,
                state="done",
                items=len(items),
                pages=1,
                item_positions=at,
            )

    async def tell(self, kind: str, snapshot: Connection) -> None:
        await self.producer.send_all(
            [event(CONNECTIONS, key=snapshot.id, kind=kind, source="auth", body=snapshot)]
        )

    async def until(self, path: str, seen: Callable[[Any], bool]) -> Any:
        """Return the JSON at ``path`` once it is as wanted."""

        async def found() -> list[Any]:
            answer = (await self.http.get(path)).json()
            return [answer] if seen(answer) else []

        return (await until(found))[0]

    async def whole(self, connection: Connection, found: Mapping[str, Sequence[Fields]]) -> Any:
        """Sync, and wait until everything can be read."""
        assert connection.sync_id
        await self.load(connection.sync_id, connection, found)
        return await self.until(
            f"/v1/syncs/{connection.sync_id}", lambda sync: sync["state"] in FINAL
        )


def item(
    connection: Connection, resource: str, *, version: int = 1, digest: str = "00", **fields: Any
) -> Message:
    body = Item(
        resource=resource,
        connection_id=connection.id,
        org_id=connection.org_id,
        provider=connection.provider,
        generation=connection.generation,
        version=version,
        **{"name": fields["id"], "raw": {"id": fields["id"]}, **fields},
    )
    return upsert(body, msgspec.json.encode(body), digest=digest, at=timestamp())


def gone(connection: Connection, resource: str, id_: str, *, version: int) -> Message:
    ref = ItemRef(connection_id=connection.id, resource=resource, id=id_)
    return deletion(
        ref,
        org_id=connection.org_id,
        generation=connection.generation,
        version=version,
        reason="not_visible",
    )


def is_problem(answer: httpx.Response, status: int, code: str | None = None) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert {"type", "title", "status", "detail", "instance", "code", "request_id"} <= set(problem)
    assert problem["status"] == status
    assert isinstance(problem["detail"], str)
    assert problem["detail"]
    assert problem["request_id"] == answer.headers["x-request-id"]
    if code:
        assert problem["code"] == code


@asynccontextmanager
async def running_broker(folder: Path) -> AsyncIterator[tuple[str, Producer]]:
    """Yield the broker's address, and a producer that stands for the other services."""
    async with local_kafka(folder / "log") as bootstrap:
        producer = Producer(Cluster(bootstrap=bootstrap), client_id="test")
        await producer.start()
        try:
            yield bootstrap, producer
        finally:
            await producer.stop()


@asynccontextmanager
async def running_gateway(
    folder: Path,
    bootstrap: str,
    producer: Producer,
    auth: FakeAuth,
    **change: Any,
) -> AsyncIterator[Gateway]:
    async with served(lambda _: auth.app()) as auth_url:
        made: list[GatewaySettings] = []

        def app_at(url: str) -> Any:
            auth.public_url = url
            made.append(settings_for(folder, bootstrap, auth_url, url, **change))
            return create_app(made[0])

        async with (
            served(app_at) as url,
            httpx.AsyncClient(
                base_url=url,
                timeout=PATIENCE_S,
                cookies=_NoCookies(),
                event_hooks={"response": [only_declared_errors]},
            ) as http,
        ):
            yield Gateway(url, http, auth, producer, made[0])


def settings_for(
    folder: Path, bootstrap: str, auth_at: str, url: str, **change: Any
) -> GatewaySettings:
    given = GatewaySettings(
        database=folder / "gateway.sqlite3",
        kafka=Cluster(bootstrap=bootstrap),
        auth_url=auth_at,
        service_secret=SECRET,
        signing_secret=SECRET,
        providers={
            slug: ConfiguredProvider(provider=provider, simulated=True)
            for slug, provider in PROVIDERS.items()
        },
        public_url=url,
        allowed_origins=(ALLOWED,),
    )
    return msgspec.structs.replace(given, **change)


async def read_topic(bootstrap: str, topic: str, *, key: str, count: int) -> list[Any]:
    """Return the first ``count`` records with that key, as any Kafka client reads them."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    found: list[Any] = []
    try:
        async with asyncio.timeout(PATIENCE_S):
            while len(found) < count:
                record = await consumer.getone()
                if record.key.decode() == key:
                    found.append(record)
    finally:
        await consumer.stop()
    return found


class _NoCookies(httpx.Cookies):
    @override
    def extract_cookies(self, response: httpx.Response) -> None:
        pass
