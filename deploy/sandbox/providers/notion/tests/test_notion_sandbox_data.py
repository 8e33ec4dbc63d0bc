"""The simulated Notion lists, searches, queries and refuses as the real one does."""

from pathlib import Path
from typing import Any

import httpx

from deploy.sandbox.providers.notion import SIMULATED
from deploy.sandbox.providers.notion.paging import CURSOR_LIFETIME_S
from deploy.sandbox.providers.notion.rows import source_of
from deploy.sandbox.providers.notion.tests.serving import (
    VERSIONED,
    Session,
    connected,
    live,
    opened,
)
from deploy.sandbox.world import Limit, World

DEFAULT = SIMULATED.default.id


async def post(session: Session, path: str, body: dict[str, Any], **headers: str) -> httpx.Response:
    return await session.http.post(path, json=body, headers=session.bearer | headers)


async def walk(session: Session, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every page of a listing."""
    pages = [(await post(session, path, body)).json()]
    while pages[-1]["has_more"]:
        pages.append(
            (await post(session, path, {**body, "start_cursor": pages[-1]["next_cursor"]})).json()
        )
    return pages


def ids(pages: list[dict[str, Any]]) -> list[str]:
    return [result["id"] for page in pages for result in page["results"]]


def biggest(world: World, account: str = DEFAULT) -> str:
    sources = [source_of(row) for row in world.rows(account, "pages").values()]
    return max({source for source in sources if source}, key=sources.count)


def test_the_default_workspace_has_the_numbers_that_are_told(world: World) -> None:
    assert {
        name: len(live(world, name)) for name in SIMULATED.resources
    } == SIMULATED.default.counts


def test_the_same_seed_gives_the_same_rows() -> None:
    assert list(SIMULATED.generate(SIMULATED.default)) == list(
        SIMULATED.generate(SIMULATED.default)
    )


async def test_search_does_not_find_every_row_and_a_query_does(world: World) -> None:
    source = biggest(world)
    async with connected(world) as session:
        found = ids(
            await walk(session, "/v1/search", {"filter": {"property": "object", "value": "page"}})
        )
        rows = ids(await walk(session, f"/v1/data_sources/{source}/query", {}))
    assert len(found) == len(set(found)) == 400 - 17
    assert set(rows) == {
        row.id for row in world.rows(DEFAULT, "pages").values() if source_of(row) == source
    }
    assert set(rows) - set(found)


async def test_pages_may_be_short_or_empty_before_the_last_one(world: World) -> None:
    async with connected(world) as session:
        pages = await walk(session, "/v1/search", {})
    sizes = [len(page["results"]) for page in pages]
    assert sizes[:4] == [100, 100, 50, 0]
    assert sum(sizes) == 383 + 12
    assert pages[0]["type"] == "page_or_data_source"


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("/v1/search", {"filter": {"property": "object", "value": "database"}}, "validation_error"),
    ("/v1/search", {"page_size": 101}, "validation_error"),
    ("/v1/search", {"page_size": 0}, "validation_error"),
    ("/v1/search", {"page_size": True}, "validation_error"),
    ("/v1/search", {"colour": "red"}, "validation_error"),
    ("/v1/search", {"start_cursor": "made-up"}, "validation_error"),
    ("/v1/search", {"start_cursor": 7}, "validation_error"),
    ("/v1/search", {"sort": {"timestamp": "created_time"}}, "validation_error"),
    ("/v1/comments", {}, "not_simulated"),
    ("/v1/data_sources/not-a-uuid/query", {}, "validation_error"),
    ("/v1/data_sources/00000000-0000-4000-8000-000000000000/query", {}, "object_not_found"),
]


async def test_a_request_that_is_wrong_is_refused_in_notions_envelope(world: World) -> None:
    async with connected(world) as session:
        for path, body, code in WRONG:
            answer = await post(session, path, body)
            told = answer.json()
            assert (told["object"], told["code"], told["status"]) == (
                "error",
                code,
                answer.status_code,
            )
            assert told["request_id"] == answer.headers["x-notion-request-id"]


async def test_every_call_names_a_version_that_knows_data_sources(world: World) -> None:
    refused = {
        "": "missing_version",
        "2022-06-28": "invalid_request_url",
        "tomorrow": "validation_error",
    }
    query = f"/v1/data_sources/{biggest(world)}/query"
    async with connected(world) as session:
        answers = [
            await post(session, query, {}, **{"Notion-Version": version}) for version in refused
        ]
        newest = await post(session, query, {"page_size": 1}, **{"Notion-Version": "2026-03-11"})
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [
        (400, code) for code in refused.values()
    ]
    assert "archived" not in newest.json()["results"][0]


async def test_a_cursor_fits_only_its_own_query_and_runs_out(world: World) -> None:
    async with connected(world) as session:
        cursor = (await post(session, "/v1/search", {})).json()["next_cursor"]
        query = f"/v1/data_sources/{biggest(world)}/query"
        foreign = await post(session, query, {"start_cursor": cursor})
        good = await post(session, "/v1/search", {"start_cursor": cursor})
        world.clock.advance(CURSOR_LIFETIME_S + 1)
        expired = await post(session, "/v1/search", {"start_cursor": cursor})
    assert [foreign.status_code, good.status_code, expired.status_code] == [400, 200, 400]
    assert "start_cursor" in expired.json()["message"]


async def test_a_cursor_survives_a_restart(tmp_path: Path) -> None:
    with opened(tmp_path) as world:
        async with connected(world) as session:
            first = (await post(session, "/v1/search", {})).json()
    with opened(tmp_path) as world:
        async with connected(world) as session:
            second = (
                await post(session, "/v1/search", {"start_cursor": first["next_cursor"]})
            ).json()
    assert len(set(ids([first, second]))) == 200


async def test_rows_are_filtered_and_sorted(world: World) -> None:
    query = f"/v1/data_sources/{biggest(world)}/query"
    newest = {"sorts": [{"timestamp": "last_edited_time", "direction": "descending"}]}
    async with connected(world) as session:
        by_edit = [
            row["last_edited_time"]
            for page in await walk(session, query, newest)
            for row in page["results"]
        ]
        since = {"timestamp": "last_edited_time", "last_edited_time": {"on_or_after": by_edit[20]}}
        recent = await walk(session, query, {"filter": since})
        long_ago = {"timestamp": "created_time", "created_time": {"before": "0500-01-01T00:00:00Z"}}
        ancient = await walk(session, query, {"filter": long_ago})
        done = {"and": [since, {"property": "Stage", "status": {"equals": "Done"}}]}
        few = (await post(session, f"{query}?filter_properties=title", {"filter": done})).json()[
            "results"
        ]
    assert by_edit == sorted(by_edit, reverse=True)
    assert len(ids(recent)) == 21
    assert ids(ancient) == []
    assert 0 < len(few) < 21
    assert [list(row["properties"]) for row in few] == [["Name"]] * len(few)


async def test_the_hundred_and_eighty_first_request_of_a_minute_is_told_when_to_come_back(
    world: World,
) -> None:
    world.limiter.limits["requests"] = Limit(2, 3_600.0)
    async with connected(world) as session:
        answers = [await session.http.get("/v1/users/me", headers=session.bearer) for _ in range(3)]
        stranger = await session.http.get(
            "/v1/users/me", headers={"Authorization": "Bearer x", **VERSIONED}
        )
    told = answers[2].json()
    assert SIMULATED.limits["requests"] == Limit(180, 60.0)
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 1 <= int(answers[2].headers["retry-after"]) <= 3_600
    assert (told["code"], told["additional_data"]["rate_limit_reason"]) == (
        "rate_limited",
        "public_api_request_rate_limit",
    )
    assert stranger.status_code == 401


async def test_people_of_one_workspace_see_the_same_and_share_its_limit_but_not_a_connections(
    world: World,
) -> None:
    second = world.add_account("Another person", 5, {}, same_data_as=DEFAULT).id
    world.limiter.limits["requests"] = Limit(3, 3_600.0)
    world.limiter.limits["workspace"] = Limit(5, 3_600.0)
    async with connected(world) as one, connected(world, second) as other:
        both = (one, other)
        found = [ids([(await post(who, "/v1/search", {})).json()]) for who in both]
        bots = [await who.http.get("/v1/users/me", headers=who.bearer) for who in both]
        last = [await who.http.get("/v1/users/me", headers=who.bearer) for who in both]
    assert found[0] == found[1] != []
    assert len({bot.json()["id"] for bot in bots}) == 2
    assert {bot.json()["bot"]["workspace_id"] for bot in bots} == {DEFAULT}
    assert [answer.status_code for answer in last] == [200, 429]
    reason = last[1].json()["additional_data"]["rate_limit_reason"]
    assert reason == "public_api_space_request_rate_limit"


async def test_changes_show_and_what_is_in_the_trash_is_not_listed(world: World) -> None:
    rows = world.rows(DEFAULT, "pages")
    async with connected(world) as session:
        before = set(ids(await walk(session, "/v1/search", {})))
        touched = world.mutate(DEFAULT, "pages", create=2, update=1, archive=list(rows)[-2:])
        after = set(ids(await walk(session, "/v1/search", {})))
        read = [
            (await session.http.get(f"/v1/pages/{id_}", headers=session.bearer)).json()
            for id_ in [touched["updated"][0], touched["archived"][0]]
        ]
    assert (after - before, before - after) == (set(touched["created"]), set(touched["archived"]))
    assert (read[0]["last_edited_time"], read[0]["in_trash"]) == (
        rows[touched["updated"][0]].modified,
        False,
    )
    assert read[0]["last_edited_time"].endswith(":00.000Z")
    assert (read[1]["in_trash"], read[1]["archived"]) == (True, True)


async def test_an_edit_shows_in_the_next_listing(world: World) -> None:
    newest = {"sort": {"timestamp": "last_edited_time", "direction": "descending"}, "page_size": 1}
    async with connected(world) as session:
        before = (await post(session, "/v1/search", newest)).json()["results"][0]
        edited = world.mutate(DEFAULT, "pages", create=0, update=1, archive=0)["updated"][0]
        after = (await post(session, "/v1/search", newest)).json()["results"][0]
    assert edited != before["id"]
    assert (after["id"], after["last_edited_time"]) == (edited, live(world, "pages")[edited])


async def test_the_rows_of_a_data_source_go_to_the_trash_with_it(world: World) -> None:
    source = biggest(world)
    inside = {row.id for row in world.rows(DEFAULT, "pages").values() if source_of(row) == source}
    world.mutate(DEFAULT, "data_sources", create=0, update=0, archive=[source])
    async with connected(world) as session:
        found = ids(await walk(session, "/v1/search", {}))
        query = await post(session, f"/v1/data_sources/{source}/query", {})
    assert inside
    assert not inside & set(found)
    assert not inside & set(live(world, "pages"))
    assert query.status_code == 404


KINDS = {
    *("title", "rich_text", "url", "email", "phone_number", "select", "status", "unique_id"),
    *("created_by", "last_edited_by", "number", "checkbox", "created_time", "last_edited_time"),
    *("multi_select", "people", "relation", "files", "date", "place", "verification", "rollup"),
    *("formula", "button"),
}
"""The kinds of properties of https://developers.notion.com/reference/property-object."""


async def test_a_property_of_every_kind_holds_a_value_under_its_kind(world: World) -> None:
    values: dict[str, list[Any]] = {}
    pages = world.rows(DEFAULT, "pages")
    async with connected(world) as session:
        for source in world.rows(DEFAULT, "data_sources"):
            for listed in await walk(session, f"/v1/data_sources/{source}/query", {}):
                for page in listed["results"]:
                    for told in page["properties"].values():
                        values.setdefault(told["type"], []).append(told[told["type"]])
                        if told["type"] == "last_edited_time":
                            assert told["last_edited_time"] == pages[page["id"]].modified
    assert values.keys() == KINDS
    assert [kind for kind, found in values.items() if set(map(repr, found)) == {"None"}] == []
    assert {one["type"] for one in values["rollup"]} == {"number", "date", "array", "unsupported"}
    assert {one["type"] for one in values["formula"]} == {"string", "number", "boolean", "date"}


async def test_the_trash_is_listed_where_it_is_asked_for(world: World) -> None:
    source, pages = biggest(world), world.rows(DEFAULT, "pages")
    inside = [row.id for row in pages.values() if source_of(row) == source][:3]
    loose = next(id_ for id_, row in pages.items() if source_of(row) is None)
    world.mutate(DEFAULT, "pages", create=0, update=0, archive=[*inside, loose])
    gone = next(id_ for id_ in world.rows(DEFAULT, "data_sources") if id_ != source)
    world.mutate(DEFAULT, "data_sources", create=0, update=0, archive=[gone])
    along = {row.id for row in world.rows(DEFAULT, "pages").values() if row.archived}
    a_page = {"property": "object", "value": "page"}
    async with connected(world) as session:

        async def found(filter_: object) -> set[str]:
            return set(ids(await walk(session, "/v1/search", {"filter": filter_})))

        assert await found({**a_page, "in_trash": True}) == along
        assert await found({"in_trash": True}) == {*along, gone}
        assert await found({**a_page, "in_trash": False}) == await found(a_page)
        assert not await found(a_page) & along
        rows = f"/v1/data_sources/{source}/query"
        assert set(ids(await walk(session, rows, {"in_trash": True}))) == set(inside)
        refused: list[object] = [{"in_trash": "yes"}, {**a_page, "trash": True}, []]
        for wrong in [*refused, {"value": "page"}]:
            answer = await post(session, "/v1/search", {"filter": wrong})
            assert answer.status_code == 400, wrong


async def test_links_to_files_differ_at_each_read_and_end_after_an_hour(world: World) -> None:
    async with connected(world) as session:

        async def links() -> list[str]:
            """Return the links to a page's cover and to a file of another page."""
            pages = await walk(session, "/v1/search", {})
            found = [result for page in pages for result in page["results"]]
            covers = [one["cover"]["file"]["url"] for one in found if one["cover"]]
            files = [
                file["file"]["url"]
                for one in found
                for told in one["properties"].values()
                if one["object"] == "page" and told["type"] == "files"
                for file in told["files"]
                if file["type"] == "file"
            ]
            return [covers[0], files[0]]

        async def answers(given: list[str]) -> list[tuple[int, str]]:
            got = [await session.http.get(link) for link in given]
            return [(answer.status_code, answer.text.partition("<Code>")[2][:12]) for answer in got]

        first, second = await links(), await links()
        assert not {*first} & {*second}
        assert [link.partition("?")[0] for link in first] == [
            link.partition("?")[0] for link in second
        ]
        assert await answers(first) == [(200, "")] * 2
        assert await answers([first[0].replace("Expires=3600", "Expires=9999")]) == [
            (403, "SignatureDoe")
        ]
        world.clock.advance(3600)
        assert await answers(first) == [(403, "AccessDenied")] * 2
        assert await answers(await links()) == [(200, "")] * 2
