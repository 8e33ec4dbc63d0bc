"""Calls are counted by what the provider meters, over all connections that share it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec
import pytest
from fakeredis import FakeServer
from fakeredis.aioredis import FakeRedis

from services.fetcher.call import ProviderCall, Tokens
from services.fetcher.circuits import Circuits
from services.fetcher.settings import FetcherSettings, Runtime
from shared.connector import Request, RetryLater
from shared.contracts.auth import AccessToken
from shared.contracts.connections import Account, Connection
from shared.contracts.envelope import timestamp
from shared.http import HttpClient
from shared.providers import load_connector, load_providers
from shared.quota import Quota
from shared.settings import Cluster, SecretStr

LATER = {"retry-after": "600"}
SPACE = "public_api_space_request_rate_limit"


@dataclass
class Site:
    """Several connections to providers that answer as they are told, on one Redis."""

    redis: FakeRedis
    settings: FetcherSettings
    answer: httpx.Response

    def call(self, connection: Connection) -> ProviderCall:
        runtime = Runtime(
            provider=load_providers()[connection.provider], client_id="", api_url="http://provider"
        )
        tokens = httpx.MockTransport(lambda _: token())
        answers = httpx.MockTransport(lambda _: self.answer)
        return ProviderCall(
            connection,
            runtime,
            load_connector(connection.provider),
            http=HttpClient(transport=answers),
            quota=Quota(self.redis),
            tokens=Tokens(HttpClient(transport=tokens), self.settings),
            circuits=Circuits(),
        )

    async def keys(self) -> set[str]:
        """Return the names of the windows that count something, or are closed."""
        found: list[bytes] = await self.redis.keys("quota:*")  # type: ignore[assignment]  # no text
        names = [name.decode() for name in found]
        return {name.removeprefix("quota:") for name in names}


def token() -> httpx.Response:
    given = AccessToken(access_token="t", token_version=1, expires_in_s=3_600)
    return httpx.Response(200, content=msgspec.json.encode(given))


def connection(
    id_: str, provider: str, account: str, *, app: str = "app", **metered: str
) -> Connection:
    return Connection(
        id=id_,
        version=1,
        generation=1,
        org_id=f"org of {id_}",
        user_id="user",
        provider=provider,
        client_id=app,
        account=Account(id=account),
        metered=metered,
        status="active",
        token_version=1,
        created_at=timestamp(0),
        updated_at=timestamp(0),
    )


def asking(buckets: Iterable[str]) -> Request:
    return Request(method="GET", path="/x", buckets=tuple(buckets))


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    settings = FetcherSettings(
        database=tmp_path / "unused.db",
        kafka=Cluster(bootstrap=""),
        auth_url="http://auth",
        service_secret=SecretStr("service"),
        providers={},
    )
    redis = FakeRedis(server=FakeServer())
    yield Site(redis, settings, httpx.Response(200, json={}))
    await redis.aclose()


@pytest.mark.parametrize(
    ("given", "buckets", "keys"),
    [
        (
            connection("c", "hubspot", "77", portal="77"),
            ["ten_secondly", "search"],
            {"hubspot:ten_secondly:app:77", "hubspot:search:77"},
        ),
        (
            connection("c", "airtable", "usr1", user="usr1"),
            ["token", "base:app9"],
            {"airtable:token:usr1", "airtable:base:app9"},
        ),
        (
            connection("c", "notion", "bot1", connection="bot1", workspace="w"),
            ["requests", "workspace"],
            {"notion:requests:app:bot1"},
        ),
        (connection("c", "hubspot", "77"), ["search"], {"hubspot:search:77"}),
    ],
    ids=["hubspot", "airtable", "notion", "older snapshot"],
)
async def test_a_call_counts_against_what_its_provider_meters(
    site: Site, given: Connection, buckets: list[str], keys: set[str]
) -> None:
    await site.call(given)(asking(buckets))
    assert await site.keys() == keys


async def test_two_users_of_a_base_share_its_limit(site: Site) -> None:
    first = site.call(connection("c", "airtable", "usr1", user="usr1"))
    second = site.call(connection("d", "airtable", "usr2", user="usr2"))
    for call in (first, second):
        await call(asking(["token", "base:app9"]))
    assert await site.redis.zcard("quota:airtable:base:app9") == 2
    assert await site.redis.zcard("quota:airtable:token:usr1") == 1


async def test_the_limit_of_a_workspace_closes_it_for_all_its_connections(site: Site) -> None:
    first = site.call(connection("c", "notion", "bot1", connection="bot1", workspace="w"))
    second = site.call(connection("d", "notion", "bot2", connection="bot2", workspace="w"))
    other = site.call(connection("e", "notion", "bot3", connection="bot3", workspace="v"))
    told = {"additional_data": {"rate_limit_reason": SPACE}}
    site.answer = httpx.Response(429, json=told, headers=LATER)
    with pytest.raises(RetryLater):
        await first(asking(["requests", "workspace"]))
    site.answer = httpx.Response(200, json={})
    for call in (first, second):
        with pytest.raises(RetryLater, match="Notion's rate limit is reached"):
            await call(asking(["requests", "workspace"]))
    await other(asking(["requests", "workspace"]))
    assert await site.redis.exists("quota:notion:requests:app:bot1:closed") == 0


async def test_the_limit_of_a_connection_leaves_its_workspace_open(site: Site) -> None:
    first = site.call(connection("c", "notion", "bot1", connection="bot1", workspace="w"))
    second = site.call(connection("d", "notion", "bot2", connection="bot2", workspace="w"))
    told = {"additional_data": {"rate_limit_reason": "public_api_request_rate_limit"}}
    site.answer = httpx.Response(429, json=told, headers=LATER)
    with pytest.raises(RetryLater):
        await first(asking(["requests", "workspace"]))
    site.answer = httpx.Response(200, json={})
    await second(asking(["requests", "workspace"]))


async def test_what_a_header_states_holds_for_another_organisation_of_the_same_portal(
    site: Site,
) -> None:
    first = site.call(connection("c", "hubspot", "77", portal="77"))
    second = site.call(connection("d", "hubspot", "77", portal="77"))
    stated = {
        "x-hubspot-ratelimit-max": "2",
        "x-hubspot-ratelimit-interval-milliseconds": "3600000",
    }
    site.answer = httpx.Response(200, json={}, headers=stated)
    await first(asking(["ten_secondly"]))
    await second(asking(["ten_secondly"]))
    with pytest.raises(RetryLater) as refused:
        await second(asking(["ten_secondly"]))
    assert "org" not in refused.value.reason + refused.value.remedy
