"""The connector reads everything that the simulated Notion holds."""

import json
from collections import Counter
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest

from deploy.sandbox.providers.notion import SIMULATED
from deploy.sandbox.providers.notion.rows import source_of
from deploy.sandbox.providers.notion.sample_names import NASTY
from deploy.sandbox.providers.notion.tests.serving import Fault, live
from deploy.sandbox.world import Limit, World
from shared.connector import (
    Completes,
    Gone,
    Page,
    Part,
    Place,
    Record,
    Reject,
    Request,
    Response,
    Restart,
    RetryLater,
)
from shared.providers.notion import PROVIDER, VERSION
from shared.providers.notion.connector import CONNECTOR
from shared.providers.notion.mapping import read
from shared.providers.notion.tests.caller import Caller, calling
from shared.providers.notion.walk import Rows
from tests.support import walks

DEFAULT = SIMULATED.default.id


def answering(pattern: str, status: int, body: Any) -> Fault:
    """Answer requests whose path holds ``pattern`` with this instead."""
    return lambda request: (
        httpx.Response(status, json=body) if pattern in request.url.path else None
    )


@pytest.mark.parametrize("resource", [resource.slug for resource in PROVIDER.resources])
async def test_every_item_of_the_ledger_is_read_with_its_time(world: World, resource: str) -> None:
    async with calling(world) as caller:
        pages = await caller.pages(resource)
    records = [record for page in pages for record in page.records]
    assert {record.id for record in records} == set(live(world, resource))
    assert not [rejected for page in pages for rejected in page.rejected]
    assert all(record.name.strip() for record in records)
    if resource != "users":
        assert {record.id: record.modified_at for record in records} == live(world, resource)
        assert all(record.url and record.created_at for record in records)


async def test_raw_is_the_whole_object(world: World) -> None:
    async with calling(world) as caller:
        for resource, kind in (
            ("pages", "page"),
            ("data_sources", "data_source"),
            ("users", "user"),
        ):
            record = (await walks.first_page(CONNECTOR, caller, resource)).records[0]
            path, headers = f"/v1/{resource}/{record.id}", {"Notion-Version": VERSION}
            found = (await caller(Request(method="GET", path=path, headers=headers))).body
            assert record.raw == {
                name: value for name, value in found.items() if name != "request_id"
            }
            assert (record.raw["object"], record.content) == (kind, None)


async def test_rows_that_search_does_not_find_come_from_their_data_source(world: World) -> None:
    async with calling(world) as caller:
        reads = await walks.walked(CONNECTOR, caller, "pages")
    searched = {
        record.id for place, page in reads if place.part.id == "search" for record in page.records
    }
    counted = Counter(record.id for read in reads for record in read.page.records)
    assert set(counted) - searched == {
        row.id for row in world.rows(DEFAULT, "pages").values() if row.body["hidden"]
    }
    assert set(counted.values()) == {1, 2}


async def test_the_parts_are_search_and_each_data_source_and_no_cursor_comes_twice(
    world: World,
) -> None:
    async with calling(world) as caller:
        reads = await walks.walked(CONNECTOR, caller, "pages")
    parts = {place.part.id for place, _ in reads}
    assert parts == {"search", "sources", *world.rows(DEFAULT, "data_sources")}
    cursors = [(place.part.id, json.dumps(page.cursor)) for place, page in reads]
    assert len(set(cursors)) == len(cursors)


async def test_a_row_belongs_to_its_data_source_whoever_found_it(world: World) -> None:
    async with calling(world) as caller:
        reads = await walks.walked(CONNECTOR, caller, "pages")
    owned = {record.id: record.part for read in reads for record in read.page.records}
    rows = world.rows(DEFAULT, "pages")
    assert owned == {id_: source_of(rows[id_]) for id_ in owned}
    assert len(set(owned.values())) > 5


async def test_every_request_names_its_bucket_and_the_version(world: World) -> None:
    async with calling(world) as caller:
        for resource in SIMULATED.resources:
            await caller.pages(resource)
    assert {request.buckets for request in caller.sent} == {("requests", "workspace")}
    assert {request.headers["Notion-Version"] for request in caller.sent} == {"2025-09-03"}
    published = [bucket for bucket in PROVIDER.buckets if bucket.requests is not None]
    limits = {bucket.name: Limit(bucket.requests or 0, bucket.window_s) for bucket in published}
    assert limits == {name: SIMULATED.limits[name] for name in limits}


async def test_more_rows_than_a_query_gives_are_read_in_windows(world: World) -> None:
    account = world.add_account("Large", 5, {"pages": 13_400, "data_sources": 1}).id
    world.limiter.off = True
    (source,) = world.rows(account, "data_sources")
    statuses = []

    async with calling(world, account) as caller:

        async def call(request: Request) -> Response:
            answer = await caller(request)
            statuses.append(answer.body.get("request_status"))
            return answer

        part, cursor = Part(id=source, name="the large one"), None
        found: set[str] = set()
        while cursor is not None or not found:
            assert len(statuses) < 200
            page = await CONNECTOR.page(call, "pages", Place(part=part, cursor=cursor, size=100))
            found |= {record.id for record in page.records}
            cursor = page.cursor
    assert found == {
        row.id for row in world.rows(account, "pages").values() if source_of(row) == source
    }
    assert len(found) > 10_000
    assert [one for one in statuses if one] == [
        {"type": "incomplete", "incomplete_reason": "query_result_limit_reached"}
    ]


def test_a_window_that_cannot_move_on_ends_the_part_with_a_reason() -> None:
    minute = "2026-01-01T00:00:00.000Z"
    following, missing = Rows(since=minute, at="x").after(None, minute, capped=True)
    assert following is None
    assert minute in (missing or "")


def test_a_limit_that_is_told_early_holds_for_the_whole_query() -> None:
    cursor, missing = Rows().after("next", "2026-01-01T00:00:00.000Z", capped=True)
    assert missing is None
    window, _ = Rows.from_cursor(cursor).after(None, "2026-01-02T00:00:00.000Z", capped=False)
    assert window == {"since": "2026-01-02T00:00:00.000Z"}


async def test_a_search_that_is_cut_off_says_so_at_its_end(world: World) -> None:
    cut = {
        "object": "list",
        "results": [],
        "has_more": False,
        "next_cursor": None,
        "request_status": {"type": "incomplete"},
    }
    async with calling(world, fault=answering("/v1/search", 200, cut)) as caller:
        page = await walks.first_page(CONNECTOR, caller, "pages")
    assert page.missing == (
        "Notion lists only some of the pages, and gives no way to read the rest."
    )


async def test_a_data_source_that_was_deleted_since_it_was_listed_is_passed_over(
    world: World,
) -> None:
    source = next(iter(world.rows(DEFAULT, "data_sources")))
    world.mutate(DEFAULT, "data_sources", create=0, update=0, archive=[source])
    place = Place(part=Part(id=source, name="data source “Tasks”"), size=100)
    async with calling(world) as caller:
        assert await CONNECTOR.page(caller, "pages", place) == Page(records=[], cursor=None)


async def test_a_data_source_that_is_listed_and_cannot_be_found_is_not_taken_for_deleted(
    world: World,
) -> None:
    missing = {
        "object": "error",
        "status": 404,
        "code": "object_not_found",
        "message": "Could not find data_source",
    }
    source = next(iter(world.rows(DEFAULT, "data_sources")))
    place = Place(part=Part(id=source, name="data source “Tasks”"), size=100)
    async with calling(world, fault=answering("/query", 404, missing)) as caller:
        with pytest.raises(Reject, match="cannot find this object"):
            await CONNECTOR.page(caller, "pages", place)


async def test_a_data_source_that_cannot_be_read_is_refused_with_notion_s_words(
    world: World,
) -> None:
    source = next(iter(world.rows(DEFAULT, "data_sources")))
    refusal = {
        "object": "error",
        "status": 400,
        "code": "validation_error",
        "message": "Linked\u202e databases",
    }
    place = Place(part=Part(id=source, name="data source “Tasks”"), size=100)
    async with calling(world, fault=answering(source, 400, refusal)) as caller:
        with pytest.raises(Reject, match="Linked databases"):
            await CONNECTOR.page(caller, "pages", place)


@pytest.mark.parametrize(
    ("resource", "scope"),
    [("users", "user information capability"), ("pages", "read content capability")],
)
async def test_a_missing_capability_is_named(world: World, resource: str, scope: str) -> None:
    refusal = {
        "object": "error",
        "status": 403,
        "code": "restricted_resource",
        "message": "Insufficient permissions",
    }
    async with calling(
        world, fault=answering("/v1/users" if resource == "users" else "/v1/search", 403, refusal)
    ) as caller:
        with pytest.raises(Reject, match=scope) as refused:
            await caller.pages(resource)
        assert await caller.pages("data_sources" if resource == "users" else "users")
    assert (refused.value.scope, refused.value.code) == (scope, "restricted_resource")


async def test_a_cursor_that_ran_out_restarts_the_walk(world: World) -> None:
    async with calling(world) as caller:
        page = await walks.first_page(CONNECTOR, caller, "pages")
        world.clock.advance(7200)
        place = Place(part=CONNECTOR.parts("pages")[0], cursor=page.cursor, size=100)
        with pytest.raises(Restart):
            await CONNECTOR.page(caller, "pages", place)
    with pytest.raises(Restart):
        Rows.from_cursor({"somewhere": "else"})


NOWHERE = "00000000-0000-4000-8000-000000000000"


async def test_items_are_read_by_id_and_what_is_gone_is_named(world: World) -> None:
    for resource in SIMULATED.resources:
        ids = list(live(world, resource))[:3]
        world.mutate(DEFAULT, resource, create=0, update=[ids[0]], archive=[ids[1]])
        async with calling(world) as caller:
            lookup = await CONNECTOR.read(caller, resource, (*ids, NOWHERE))
        assert [record.id for record in lookup.records] == [ids[0], ids[2]]
        assert "(edit 1)" in lookup.records[0].name
        assert all("request_id" not in record.raw for record in lookup.records)
        # People leave; only pages and data sources have a trash.
        in_trash = [] if resource == "users" else [Gone(id=ids[1], reason="trashed")]
        assert lookup.gone == in_trash
        assert lookup.absent == [*([] if in_trash else [ids[1]]), NOWHERE]


def filed(signature: str, *, name: str = "a.pdf") -> dict[str, Any]:
    """Return a page with a cover, a file, a link to elsewhere and a rollup of files."""
    url = f"https://files.example/{name}?X-Amz-Signature={signature}"
    hosted = {"type": "file", "file": {"url": url, "expiry_time": f"2026-01-{signature}"}}
    elsewhere = {"type": "external", "external": {"url": "https://x.example/b?version=2"}}
    files = {"id": "f", "type": "files", "files": [{"name": name, **hosted}, elsewhere]}
    rollup = {"id": "r", "type": "rollup", "rollup": {"type": "array", "array": [files]}}
    title = {"id": "title", "type": "title", "title": [{"plain_text": "Filed"}]}
    properties = {"Files": files, "All files": rollup, "Name": title}
    return {"object": "page", "id": "p1", "cover": hosted, "icon": None, "properties": properties}


def test_a_file_that_is_signed_anew_is_no_new_content_and_another_file_is() -> None:
    (before, after, other), rejected = read(
        "page", [filed("01"), filed("02"), filed("01", name="b.pdf")]
    )
    assert rejected == []
    assert before.content is not None
    assert before.content == after.content
    assert before.raw != after.raw
    assert before.content != other.content
    assert "X-Amz" not in str(before.content)
    assert "version=2" in str(before.content)


async def test_names_are_whole_and_what_has_none_is_called_so(world: World) -> None:
    async with calling(world) as caller:
        names = {record.name for page in await caller.pages("pages") for record in page.records}
    assert {nasty.strip() or "Untitled" for nasty in NASTY} <= names
    assert max(map(len, names)) > 10_000


MALFORMED = [
    "<html>Sign in to the airport Wi-Fi</html>",
    "null",
    "[]",
    '{"results": null, "has_more": false}',
    '{"results": [], "has_more": true, "next_cursor": null}',
    '{"results": [], "next_cursor": null}',
]


async def test_T21_a_page_that_is_not_a_page_is_tried_again(world: World) -> None:
    sent = [""]

    def fault(request: httpx.Request) -> httpx.Response | None:
        kind = "text/html" if sent[-1].startswith("<") else "application/json"
        answer = httpx.Response(200, text=sent[-1], headers={"Content-Type": kind})
        return None if "oauth" in request.url.path else answer

    async with calling(world, fault=fault) as caller:
        for body in MALFORMED:
            sent.append(body)
            for resource in SIMULATED.resources:
                with pytest.raises(RetryLater) as refused:
                    await walks.first_page(CONNECTOR, caller, resource)
                assert refused.value.code == "malformed_page"


def good(**changed: Any) -> dict[str, Any]:
    title = {
        "id": "title",
        "type": "title",
        "title": [{"plain_text": "A "}, {"plain_text": "plum"}],
    }
    page = {
        "object": "page",
        "id": "p1",
        "parent": {"type": "page_id", "page_id": "p0"},
        "properties": {"Name": title},
    }
    return page | changed


def test_T21_a_record_that_is_odd_is_set_aside_and_the_others_pass() -> None:
    odd = [good(id=7), good(properties=None), "text", None, {"object": "page"}]
    records, rejected = read("page", [good(), *odd, good(id="p2")])
    assert [(record.id, record.name, record.parent_id) for record in records] == [
        ("p1", "A plum", "p0"),
        ("p2", "A plum", "p0"),
    ]
    assert [one.pointer for one in rejected] == [
        "/results/1/id",
        "/results/2/properties",
        "/results/3",
        "/results/4",
        "/results/5/properties",
    ]
    assert msgspec.json.decode(rejected[0].raw) == odd[0]


@pytest.mark.parametrize(
    ("changes", "odd", "shown"),
    [
        ({"created_time": 5}, ("created_time",), {"created_at": None}),
        ({"last_edited_time": ""}, ("last_edited_time",), {"modified_at": None}),
        ({"parent": "x"}, ("parent",), {"parent_id": None}),
        ({"parent": {"page_id": "p0"}}, ("parent",), {"parent_id": None}),
        ({"parent": {"type": "page_id", "page_id": 7}}, ("parent",), {"parent_id": None}),
        ({"parent": {"type": "workspace", "workspace": True}}, (), {"parent_id": None}),
        ({"url": 7}, ("url",), {"url": None}),
        ({"properties": {"N": {"type": "title", "title": None}}}, ("title",), {"name": "Untitled"}),
        ({"properties": {"N": {"type": "title", "title": [{}]}}}, ("title",), {"name": "Untitled"}),
        ({"properties": {"N": {"type": "title", "title": []}}}, (), {"name": "Untitled"}),
        ({"properties": {"N": None}}, (), {"name": "Untitled"}),
    ],
)
def test_an_odd_field_beside_the_content_never_costs_the_record(
    changes: dict[str, Any], odd: tuple[str, ...], shown: dict[str, Any]
) -> None:
    (record,), rejected = read("page", [good(**changes)])
    assert (record.odd, rejected) == (odd, [])
    assert msgspec.structs.asdict(record).items() >= shown.items()
    assert record.raw == good(**changes)


def test_an_odd_name_of_a_user_or_data_source_never_costs_it() -> None:
    (user,), _ = read("user", [{"object": "user", "id": "u1", "name": 7}])
    (source,), _ = read("data_source", [{"object": "data_source", "id": "d1", "title": None}])
    assert (user.name, user.odd) == ("Unnamed user", ("name",))
    assert (source.name, source.odd) == ("Untitled", ("title",))


def test_what_is_in_the_trash_is_not_an_item_but_what_is_archived_is() -> None:
    records, rejected = read("page", [good(in_trash=True), good(id="p2", is_archived=True)])
    assert ([record.id for record in records], rejected) == (["p2"], [])


async def whole(caller: Caller, id_: str) -> tuple[Record, Record]:
    """Return a page as it is listed, and completed with what its properties hold."""
    (listed,) = (await CONNECTOR.read(caller, "pages", (id_,))).records
    assert isinstance(CONNECTOR, Completes)
    pieces: dict[str, list[Any]] = {}
    for field in listed.truncated:
        piece = await CONNECTOR.piece(caller, "pages", id_, field, None)
        pieces[field] = [piece.body]
        while piece.cursor:
            piece = await CONNECTOR.piece(caller, "pages", id_, field, piece.cursor)
            pieces[field].append(piece.body)
    return listed, CONNECTOR.completed("pages", listed.raw, pieces)


@pytest.mark.parametrize("count", [40, 300])
async def test_properties_with_more_than_25_references_are_completed(
    world: World, count: int
) -> None:
    (id_,) = world.mutate(DEFAULT, "pages", create=1, update=0, archive=0, references=count)[
        "created"
    ]
    async with calling(world) as caller:
        listed, completed = await whole(caller, id_)
    wanted = {**world.rows(DEFAULT, "pages")[id_].body["show"]["properties"]}
    by_id = {told["id"]: name for name, told in wanted.items()}
    named = {by_id[quote(field, safe="")] for field in listed.truncated}
    assert named == {"Related", "Watchers", "Log", "How many", "Numbers"}
    cut, given = listed.raw["properties"], completed.raw["properties"]
    assert (len(cut["Related"]["relation"]), cut["Related"]["has_more"]) == (25, True)
    wanted["Related"] = {**wanted["Related"], "has_more": False}
    assert given == {**cut, **{name: wanted[name] for name in named}}
    assert completed.truncated == ()
    assert msgspec.structs.replace(completed, raw={}, content=None) == msgspec.structs.replace(
        listed, raw={}, content=None, truncated=()
    )


async def test_a_title_that_was_cut_off_gives_the_whole_name(world: World) -> None:
    row = next(iter(world.rows(DEFAULT, "pages").values()))
    (title,) = [one for one in row.body["show"]["properties"].values() if one["type"] == "title"]
    title["title"] = [{**title["title"][0], "plain_text": f"{n} "} for n in range(30)]
    async with calling(world) as caller:
        listed, completed = await whole(caller, row.id)
    assert (listed.truncated, listed.name.split()[-1]) == (("title",), "24")
    assert (completed.truncated, completed.name.split()[-1]) == ((), "29")


@pytest.mark.parametrize(
    ("told", "cut"),
    [
        ({"type": "relation", "relation": [{}] * 25, "has_more": True}, True),
        ({"type": "relation", "relation": [{}] * 25, "has_more": False}, False),
        ({"type": "relation", "relation": [{}] * 25}, True),
        ({"type": "people", "people": [{}] * 25}, True),
        ({"type": "people", "people": [{}] * 24}, False),
        ({"type": "rich_text", "rich_text": [{"type": "mention"}, {"type": "text"}] * 25}, True),
        ({"type": "rich_text", "rich_text": [{"type": "text"}] * 50}, False),
        ({"type": "rollup", "rollup": {"type": "array", "array": [{}] * 25}}, True),
        ({"type": "rollup", "rollup": {"type": "array", "array": [{}]}}, False),
        ({"type": "rollup", "rollup": {"type": "number", "number": 25}}, False),
        ({"type": "rollup", "rollup": {"type": "incomplete", "incomplete": {}}}, True),
        ({"type": "rollup", "rollup": None}, False),
        ({"type": "people", "people": None}, False),
        ({"type": ["people"]}, False),
    ],
)
def test_what_may_be_cut_off_is_named(told: dict[str, Any], cut: bool) -> None:
    properties = {**good()["properties"], "P": {"id": "p%3AxQ", **told}}
    (record,), _ = read("page", [good(properties=properties)])
    assert record.truncated == (("p:xQ",) if cut else ())


async def test_what_is_no_list_of_values_is_tried_again_and_another_type_is_refused(
    world: World,
) -> None:
    id_ = next(iter(live(world, "pages")))
    assert isinstance(CONNECTOR, Completes)
    odd = {
        "object": "list",
        "results": [{}],
        "has_more": False,
        "property_item": {"type": "people"},
    }
    async with calling(world, fault=answering("/properties/", 200, odd)) as caller:
        with pytest.raises(RetryLater):
            await CONNECTOR.piece(caller, "pages", id_, "title", None)
    single = {"object": "property_item", "id": "title", "type": "number", "number": 1}
    async with calling(world, fault=answering("/properties/", 200, single)) as caller:
        with pytest.raises(Reject):
            await CONNECTOR.piece(caller, "pages", id_, "title", None)
