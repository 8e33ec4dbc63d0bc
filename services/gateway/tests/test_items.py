from __future__ import annotations

from typing import Any

import msgspec
import pytest

from services.gateway.tests.serving import Gateway, gone, item
from services.gateway.tests.test_syncs import requested
from shared.contracts.connections import Connection
from shared.contracts.items import Item
from shared.contracts.syncs import RefetchItems
from tests.support.waiting import next_millisecond

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def listed(api: Gateway, **params: str | int) -> list[dict[str, Any]]:
    answer = await api.http.get("/v1/items", params=params)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


async def walk(api: Gateway, **params: str | int) -> list[str]:
    """Return all ids, page by page."""
    found, token = [], None
    while True:
        page = (
            await api.http.get(
                "/v1/items", params={**params, **({"page_token": token} if token else {})}
            )
        ).json()
        found += [one["id"] for one in page["items"]]
        token = page["next_page_token"]
        if token is None:
            return found


async def loaded(
    api: Gateway, user: str, pages: list[dict[str, Any]], provider: str = "notion"
) -> Connection:
    connection = await api.connect(provider, user=user)
    resource = "pages" if provider == "notion" else "records"
    assert (await api.whole(connection, {resource: pages}))["state"] == "done"
    return connection


async def test_an_item_has_what_the_fetcher_sent_and_its_raw_record_unchanged(api: Gateway) -> None:
    raw = {"b": 1.50, "a": {"ü": ["\u202e", None]}}
    sent = {
        "id": "p1",
        "name": "Plan",
        "url": "https://notion.so/p1",
        "parent_id": "d1",
        "raw": raw,
    }
    connection = await loaded(
        api, "one", [{**sent, "created_at": "2026-01-01T00:00:00Z", "modified_at": None}]
    )
    (found,) = await listed(api, connection_id=connection.id)
    assert found["synced_at"]
    expected = {
        **sent,
        "resource": "pages",
        "connection_id": connection.id,
        "provider": "notion",
        "org_id": "demo",
        "generation": 1,
        "created_at": "2026-01-01T00:00:00Z",
        "modified_at": None,
        "version": 1,
        "raw_bytes": None,
        "truncated": [],
        "synced_at": found["synced_at"],
    }
    assert found == expected
    alone = (await api.http.get(f"/v1/items/{connection.id}/pages/p1")).json()
    assert alone == {**expected, "stale": None}


NOT_SHOWN: frozenset[str] = frozenset()
"""Fields of the contract that the API does not show."""
FULL: dict[str, Any] = {
    "id": "full",
    "name": "Plan",
    "parent_id": "d1",
    "url": "https://notion.so/p1",
    "created_at": "2026-01-01T00:00:00Z",
    "modified_at": "2026-02-01T00:00:00Z",
    "raw": {"id": "full"},
    "raw_bytes": 7,
    "truncated": ["title", "p:xQ"],
}


async def test_every_field_of_the_contract_can_be_read(api: Gateway) -> None:
    connection = await loaded(api, "full", [FULL])
    sent = msgspec.json.decode(item(connection, "pages", **FULL).value or b"")
    found = (await api.http.get(f"/v1/items/{connection.id}/pages/full")).json()
    assert sent.keys() == set(Item.__struct_fields__)
    assert None not in sent.values(), "each with a value that is not its default"
    for name in sent.keys() - NOT_SHOWN:
        assert found[name] == sent[name]


async def test_an_item_that_is_read_again_unchanged_keeps_the_time_it_was_synced_at(
    api: Gateway,
) -> None:
    connection = await loaded(api, "again", [{"id": "p1"}])
    url = f"/v1/items/{connection.id}/pages/p1"
    first = (await api.http.get(url)).json()["synced_at"]

    async def synced_at(version: int, **fields: str) -> Any:
        await next_millisecond()
        await api.publish(connection, "pages", [{"id": "p1", **fields}], version=version)
        return (await api.until(url, lambda one: one.get("version") == version))["synced_at"]

    reread = await synced_at(2)
    changed = await synced_at(3, name="New", digest="01")
    await api.producer.send_all([gone(connection, "pages", "p1", version=4)])
    await api.until(url, lambda one: one.get("status") == 404)
    restored = await synced_at(5, name="New", digest="01")
    assert first == reread < changed < restored


async def test_an_id_may_hold_slashes(api: Gateway) -> None:
    id_ = "app1/tbl 2/rec?3"
    connection = await loaded(api, "slashes", [{"id": id_}], provider="airtable")
    for path in ("app1/tbl%202/rec%3F3", "app1%2Ftbl%202%2Frec%3F3"):
        assert (await api.http.get(f"/v1/items/{connection.id}/records/{path}")).json()["id"] == id_


async def test_pages_are_stable_while_items_come_and_go(api: Gateway) -> None:
    ids = [f"p{number:03}" for number in range(0, 100, 2)]
    connection = await loaded(api, "pages", [{"id": id_} for id_ in ids])
    assert await walk(api, connection_id=connection.id, page_size=7) == ids
    first = (
        await api.http.get("/v1/items", params={"connection_id": connection.id, "page_size": 10})
    ).json()
    await api.producer.send_all(
        [
            gone(connection, "pages", first["items"][9]["id"], version=2),
            item(connection, "pages", version=2, id="p001"),
            item(connection, "pages", version=2, id="p099"),
        ]
    )
    count = len(ids) + 1
    await api.until(f"/v1/connections/{connection.id}", lambda one: one["items"] == count)
    more = await api.http.get(
        "/v1/items",
        params={
            "connection_id": connection.id,
            "page_size": 200,
            "page_token": first["next_page_token"],
        },
    )
    assert [one["id"] for one in more.json()["items"]] == [*ids[10:], "p099"]


async def test_an_older_version_changes_nothing_and_a_deletion_stays(api: Gateway) -> None:
    connection = await loaded(api, "versions", [{"id": "p1"}, {"id": "p2"}, {"id": "p3"}])
    late = [
        item(connection, "pages", version=5, id="p1", name="new"),
        gone(connection, "pages", "p2", version=6),
        item(connection, "pages", version=4, id="p1", name="old"),
        item(connection, "pages", version=5, id="p2", name="back from the dead"),
    ]
    for message in late:
        await api.producer.send_all([message])
    await api.publish(connection, "users", [{"id": "last"}])
    found = {
        one["id"]: one["name"]
        for one in await listed(api, connection_id=connection.id, resource="pages")
    }
    await api.until(
        f"/v1/items?connection_id={connection.id}&resource=pages",
        lambda page: len(page["items"]) == 2,
    )
    found = {
        one["id"]: one["name"]
        for one in await listed(api, connection_id=connection.id, resource="pages")
    }
    assert found == {"p1": "new", "p3": "p3"}


async def test_a_search_finds_a_part_of_the_name_in_any_case(api: Gateway) -> None:
    names = ["Straße 100%", "STRASSE_B", "100 percent", "O'Neil; DROP TABLE items", "naïve"]
    connection = await loaded(
        api, "search", [{"id": f"p{i}", "name": name} for i, name in enumerate(names)]
    )

    async def search(q: str) -> list[str]:
        return [one["name"] for one in await listed(api, connection_id=connection.id, q=q)]

    assert await search("strasse") == names[:2]
    assert await search("o'neil; drop") == [names[3]]
    assert await search("NAÏVE") == [names[4]]
    assert await search("nothing like it") == []


async def test_T41_wildcards_in_a_search_mean_themselves(api: Gateway) -> None:
    connection = await loaded(
        api, "wild", [{"id": "a", "name": "50% off_"}, {"id": "b", "name": "50 euro off"}]
    )
    for q in ("%", "_", "50%", "f_"):
        assert [one["id"] for one in await listed(api, connection_id=connection.id, q=q)] == ["a"]
    refused = await api.http.get("/v1/items", params={"q": "x" * 201})
    assert refused.status_code == 400


async def test_items_are_filtered_by_provider_resource_and_time_of_loading(api: Gateway) -> None:
    connection = await loaded(api, "filters", [{"id": "p1"}])
    await api.publish(connection, "users", [{"id": "u1"}])
    await api.until(f"/v1/connections/{connection.id}", lambda one: one["items"] == 2)
    assert [
        one["id"] for one in await listed(api, connection_id=connection.id, resource="users")
    ] == ["u1"]
    assert await listed(api, connection_id=connection.id, provider="hubspot") == []
    updated = (await listed(api, connection_id=connection.id, resource="users"))[0]["synced_at"]
    since = await listed(api, connection_id=connection.id, resource="users", synced_since=updated)
    assert [one["id"] for one in since] == ["u1"]
    for future in ("2099-01-01T00:00:00Z", "2099-01-01T02:00:00+02:00", "2099-01-01T00:00:00.5Z"):
        assert await listed(api, connection_id=connection.id, synced_since=future) == []
    of_old = await listed(api, connection_id=connection.id, synced_since="0500-01-01T00:00:00Z")
    assert {one["id"] for one in of_old} == {"p1", "u1"}


async def test_T13_only_web_links_are_passed_on(api: Gateway) -> None:
    urls = [
        "javascript:alert(1)",
        "data:text/html,x",
        " https://x",
        "HTTPS://ok.example",
        "https://ok.example",
        "//x",
    ]
    connection = await loaded(
        api,
        "links",
        [{"id": f"p{i}", "url": url, "name": "<img onerror=x>"} for i, url in enumerate(urls)],
    )
    found = await listed(api, connection_id=connection.id)
    assert [one["url"] for one in found] == [
        None,
        None,
        None,
        "HTTPS://ok.example",
        "https://ok.example",
        None,
    ]
    assert found[0]["name"] == "<img onerror=x>"


async def test_T23_a_page_token_that_was_altered_or_taken_elsewhere_is_refused(
    api: Gateway,
) -> None:
    connection = await loaded(api, "tokens", [{"id": f"p{i}"} for i in range(5)])
    mine: dict[str, str | int] = {"connection_id": connection.id, "page_size": 2}
    token = (await api.http.get("/v1/items", params=mine)).json()["next_page_token"]
    assert (
        await api.http.get("/v1/items", params={**mine, "page_token": token})
    ).status_code == 200
    for at in (0, len(token) // 2, len(token) - 2):
        altered = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        assert (
            await api.http.get("/v1/items", params={**mine, "page_token": altered})
        ).status_code == 400
    for other in ({"q": "p"}, {"resource": "pages"}, {"provider": "notion"}):
        elsewhere = await api.http.get("/v1/items", params={**mine, **other, "page_token": token})
        assert (elsewhere.status_code, elsewhere.json().get("code")) == (400, "bad_token")
    for odd in ("", "x", "=" * 50, "A" * 10_000):
        assert (
            await api.http.get("/v1/items", params={**mine, "page_token": odd})
        ).status_code == 400


async def test_items_are_read_again_under_a_newer_version(api: Gateway) -> None:
    connection = await loaded(api, "renewed", [{"id": "p1"}, {"id": "p2"}])
    await api.publish(connection, "pages", [{"id": "p2", "name": "newer"}], version=7)
    await api.until(f"/v1/items/{connection.id}/pages/p2", lambda one: one["version"] == 7)
    asked = {"connection_id": connection.id, "resource": "pages", "ids": ["p1", "p2", "p1"]}
    accepted = await api.http.post("/v1/items/refetch", json=asked)
    assert (accepted.status_code, accepted.json()) == (202, {**asked, "ids": ["p1", "p2"]})
    assert await requested(api, connection.id, 1) == [
        RefetchItems(
            connection_id=connection.id, resource="pages", ids=("p1", "p2"), highest_version=7
        )
    ]


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"ids": ["p1", "p9"]}, 404, "not_found"),
        ({"ids": ["p1", "p\0"]}, 404, "not_found"),
        ({"connection_id": "none"}, 404, "not_found"),
        ({"resource": "plums"}, 400, "unknown_resource"),
        ({"ids": []}, 400, "bad_request"),
        ({"ids": ["p1"] * 101}, 400, "bad_request"),
        ({"more": 1}, 400, "bad_request"),
    ],
)
async def test_an_order_for_what_is_not_known_is_refused(
    api: Gateway, changes: dict[str, Any], status: int, code: str
) -> None:
    connection = await loaded(api, "refused", [{"id": "p1"}])
    asked = {"connection_id": connection.id, "resource": "pages", "ids": ["p1"]}
    refused = await api.http.post("/v1/items/refetch", json=asked | changes)
    assert (refused.status_code, refused.json()["code"]) == (status, code)
