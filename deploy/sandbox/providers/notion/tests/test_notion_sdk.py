"""The notion-client package works against the sandbox without any change."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from notion_client import AsyncClient
from notion_client.client import RetryOptions
from notion_client.errors import APIErrorCode, APIResponseError, UnknownHTTPResponseError
from notion_client.helpers import (
    async_collect_paginated_api,
    is_full_data_source,
    is_full_page,
    is_full_user,
)

from deploy.sandbox.providers.notion import SIMULATED
from deploy.sandbox.providers.notion.tests.serving import (
    CLIENT,
    REDIRECT,
    Session,
    connected,
    consent,
    live,
)
from deploy.sandbox.world import Limit, World

DEFAULT = SIMULATED.default.id
Listing = Callable[..., Awaitable[Any]]


@asynccontextmanager
async def sdk(world: World, *, retries: int = 2) -> AsyncIterator[tuple[AsyncClient, Session]]:
    async with connected(world) as session:
        retry = RetryOptions(max_retries=retries, initial_retry_delay_ms=1)
        base = str(session.http.base_url).rstrip("/")
        client = AsyncClient(auth=session.reply["access_token"], base_url=base, retry=retry)
        try:
            yield client, session
        finally:
            await client.aclose()


async def collect(function: object, **kw: Any) -> list[dict[str, Any]]:
    return await async_collect_paginated_api(cast("Listing", function), **kw)


async def test_the_sdk_pages_through_search_and_users(world: World) -> None:
    async with sdk(world) as (client, _):
        pages = await collect(
            client.search, filter={"property": "object", "value": "page"}, page_size=50
        )
        sources = await collect(
            client.search, filter={"property": "object", "value": "data_source"}
        )
        users = await collect(client.users.list, page_size=4)
    assert len(pages) == 400 - 17
    assert all(map(is_full_page, pages))
    assert {source["id"] for source in sources} == set(live(world, "data_sources"))
    assert all(map(is_full_data_source, sources))
    assert {user["id"] for user in users} == set(live(world, "users"))
    assert all(map(is_full_user, users))


async def test_the_sdk_searches_by_title(world: World) -> None:
    async with sdk(world) as (client, _):
        found = await collect(client.search, query="ROADMAP")
    assert 0 < len(found) < 100


async def test_the_sdk_finds_data_sources_by_their_database_and_queries_them(world: World) -> None:
    async with sdk(world) as (client, _):
        wanted = await collect(client.search, filter={"property": "object", "value": "data_source"})
        database = await client.databases.retrieve(database_id=wanted[0]["parent"]["database_id"])
        rows = []
        for about in database["data_sources"]:
            source = await client.data_sources.retrieve(data_source_id=about["id"])
            assert source["title"][0]["plain_text"]
            rows += await collect(
                client.data_sources.query, data_source_id=about["id"], page_size=20
            )
        part = await client.data_sources.query(
            data_source_id=wanted[0]["id"], filter_properties=["title"], page_size=1
        )
    assert wanted[0]["id"] in {about["id"] for about in database["data_sources"]}
    assert {row["parent"]["database_id"] for row in rows} == {database["id"]}
    assert [value["type"] for value in part["results"][0]["properties"].values()] == ["title"]


async def test_the_sdk_reads_single_objects(world: World) -> None:
    page_id, user_id = next(iter(live(world, "pages"))), next(iter(live(world, "users")))
    async with sdk(world) as (client, session):
        page = await client.pages.retrieve(page_id=page_id.replace("-", ""))
        prop = await client.pages.properties.retrieve(page_id=page_id, property_id="title")
        children = await client.blocks.children.list(block_id=page_id)
        user, me = await client.users.retrieve(user_id=user_id), await client.users.me()
    assert (page["id"], page["in_trash"], prop["type"], children["type"]) == (
        page_id,
        False,
        "property_item",
        "block",
    )
    assert (user["id"], me["id"]) == (user_id, session.reply["bot_id"])
    assert me["bot"]["workspace_name"] == SIMULATED.default.name


async def test_the_sdk_reads_a_property_that_its_page_cuts_off(world: World) -> None:
    made = world.mutate(DEFAULT, "pages", create=1, update=0, archive=0, references=40)
    (id_,) = made["created"]
    async with sdk(world) as (client, session):
        page = await client.pages.retrieve(page_id=id_)
        told = page["properties"]["Related"]
        values = await collect(
            client.pages.properties.retrieve, page_id=id_, property_id=told["id"], page_size=15
        )
        first = await client.pages.properties.retrieve(
            page_id=id_, property_id=told["id"], page_size=15
        )
        link = first["property_item"]["next_url"]
        second = (await session.http.get(link, headers=session.bearer)).json()
        counted = await client.pages.properties.retrieve(
            page_id=id_, property_id=page["properties"]["How many"]["id"], page_size=15
        )
    assert (len(told["relation"]), told["has_more"], len(values)) == (25, True, 40)
    assert [value["relation"] for value in values[:25]] == told["relation"]
    assert second["results"] == values[15:30]
    assert page["properties"]["How many"]["rollup"]["number"] == 25
    assert counted["property_item"]["rollup"]["type"] == "incomplete"


async def test_the_sdk_exchanges_refreshes_introspects_and_revokes(world: World) -> None:
    app = {"client_id": CLIENT.id, "client_secret": CLIENT.secret}
    async with sdk(world) as (client, session):
        code = (await consent(session.http))["code"]
        pair = await client.oauth.token(
            **app, grant_type="authorization_code", code=code, redirect_uri=REDIRECT
        )
        newer = await client.oauth.token(
            **app, grant_type="refresh_token", refresh_token=pair["refresh_token"]
        )
        told = [
            await client.oauth.introspect(**app, token=one["access_token"]) for one in (pair, newer)
        ]
        await client.oauth.revoke(**app, token=newer["access_token"])
        last = await client.oauth.introspect(**app, token=newer["access_token"])
    assert [one["active"] for one in [*told, last]] == [False, True, False]


async def test_the_sdk_knows_the_sandboxs_errors(world: World) -> None:
    gone = "00000000-0000-4000-8000-000000000000"
    async with sdk(world) as (client, _):
        with pytest.raises(APIResponseError) as missing:
            await client.pages.retrieve(page_id=gone)
        with pytest.raises(APIResponseError) as invalid:
            await client.search(page_size=1_000)
        with pytest.raises(UnknownHTTPResponseError) as spent:
            await client.oauth.token(
                CLIENT.id, CLIENT.secret, grant_type="refresh_token", refresh_token="nrt_spent"
            )
        world.tokens.clear()
        with pytest.raises(APIResponseError) as unauthorized:
            await client.users.me()
    codes = [missing.value.code, invalid.value.code, unauthorized.value.code]
    assert codes == [
        APIErrorCode.ObjectNotFound,
        APIErrorCode.ValidationError,
        APIErrorCode.Unauthorized,
    ]
    assert (spent.value.status, '"invalid_grant"' in spent.value.body) == (400, True)
    assert missing.value.request_id


async def test_the_sdk_waits_out_a_rate_limit(world: World) -> None:
    world.limiter.limits["requests"] = Limit(1, 0.5)
    async with sdk(world) as (client, _):
        assert [(await client.users.me())["type"] for _ in range(2)] == ["bot", "bot"]
