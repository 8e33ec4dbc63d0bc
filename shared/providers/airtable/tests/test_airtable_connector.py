import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import pytest

from deploy.sandbox.providers.airtable.tests.serving import access_token
from deploy.sandbox.world import World
from shared.connector import (
    Lookup,
    Page,
    Record,
    Reject,
    Request,
    Response,
    Restart,
    RetryLater,
)
from shared.providers.airtable import SCHEMA
from shared.providers.airtable.connector import CONNECTOR
from shared.providers.airtable.mapping import (
    WalkedTable,
    base_record,
    base_schema,
    row_record,
    spoken,
    table_in,
    table_record,
)
from shared.providers.airtable.problems import problem
from shared.providers.airtable.tests.caller import RealCall, ScriptedCall, walk
from tests.support import walks

NOWHERE = {
    "bases": "appGone",
    "tables": "appGone/tblGone",
    "records": "appGone/tblGone/recGone",
}
BASE, TABLE = "appAAAAAAAAAAAAAA", "tblBBBBBBBBBBBBBB"
BASES = {"bases": [{"id": BASE, "name": "Orchard", "permissionLevel": "create"}]}
FIELDS = [{"id": "fldName", "name": "Name"}, {"id": "fldCount", "name": "Count"}]
TABLES = {
    "tables": [
        {"id": TABLE, "name": "Trees", "primaryFieldId": "fldName", "fields": FIELDS, "views": []}
    ]
}
CLOSED = Response(
    status=403, headers={}, body={"error": {"type": "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND"}}
)
META, LIST = f"/v0/meta/bases/{BASE}/tables", f"/v0/{BASE}/{TABLE}"


def row(number: int, **cells: object) -> dict[str, object]:
    return {"id": f"rec{number:014d}", "createdTime": "2026-10-02T11:00:04.000Z", "fields": cells}


def scripted(*pages: object, **more: Sequence[object]) -> ScriptedCall:
    plain: dict[str, Sequence[object]] = {"/v0/meta/bases": [BASES], META: [TABLES], LIST: pages}
    return ScriptedCall(plain | more)


def records(pages: Iterable[Page]) -> list[Record]:
    return [record for page in pages for record in page.records]


def live(world: World, resource: str) -> list[str]:
    rows = world.rows(world.simulated.default.id, resource).values()
    return sorted(row.id for row in rows if not row.archived)


@pytest.mark.parametrize(
    ("resource", "count", "parent"),
    [("bases", 3, None), ("tables", 10, "bases"), ("records", 1500, "tables")],
)
async def test_every_item_of_the_account_is_read_once(
    standing: tuple[World, str], reader: RealCall, resource: str, count: int, parent: str | None
) -> None:
    pages = await walk(reader, resource)
    assert sorted(record.id for record in records(pages)) == live(standing[0], resource)
    assert len(records(pages)) == count
    assert [page.rejected for page in pages if page.rejected] == []
    parents = {record.parent_id for record in records(pages)}
    assert parents <= (set(live(standing[0], parent)) if parent else {None})


async def test_a_record_shows_its_cells_by_field_name_and_where_it_stands(reader: RealCall) -> None:
    (first, *_) = records(await walk(reader, "records"))
    base, table, record = first.id.split("/")
    assert first.url == f"https://airtable.com/{base}/{table}/{record}"
    assert first.parent_id == f"{base}/{table}"
    assert (
        {"Name", "Count"}
        <= first.raw["fields"].keys()
        <= {"Name", "Count", "Tags", "Yield", "Notes"}
    )
    assert first.name == first.raw["fields"]["Name"]
    assert first.created_at is not None
    assert (first.created_at[-5:], first.modified_at) == (".000Z", None)


async def test_raw_is_the_whole_object(standing: tuple[World, str], reader: RealCall) -> None:
    (record, *_) = records(await walk(reader, "records"))
    assert (record.raw["id"], record.raw["createdTime"]) == (
        record.id.rpartition("/")[2],
        record.created_at,
    )
    assert record.raw.keys() == {"id", "createdTime", "fields"}
    (base, *_) = records(await walk(reader, "bases"))
    assert base.raw == {"id": base.id, "name": base.name, "permissionLevel": "create"}
    (table, *_) = records(await walk(reader, "tables"))
    assert table.raw["id"] == table.id.rpartition("/")[2]
    assert {"name", "primaryFieldId", "fields", "views"} <= table.raw.keys()


def photographed(link: str, **more: Any) -> Record:
    """Return a row with an attachment whose link has this signature in its path."""
    photo = {"id": "att1", "filename": "a.jpg", "size": 5, "type": "image/jpeg", **more}
    photo |= {"url": f"https://files.example/{link}", "thumbnails": {"small": {"url": link}}}
    table = WalkedTable("tbl1", "Trees", "fldName", {"fldName": "Name", "fldPhoto": "Photo"})
    cells = {"fldName": "Plum", "fldPhoto": [photo]}
    return row_record("app1", table, {"id": "rec1", "fields": cells})


def test_an_attachment_that_is_signed_anew_is_no_new_content_and_another_one_is() -> None:
    before, after = photographed("one"), photographed("two")
    assert before.content is not None
    assert before.content == after.content
    assert before.raw != after.raw
    assert before.content != photographed("one", size=6).content
    assert row_record("app1", WalkedTable("t", "T", "f", {}), row(1)).content is None


async def test_no_name_is_empty_or_longer_than_a_line(reader: RealCall) -> None:
    names = [record.name for record in records(await walk(reader, "records"))]
    assert all(name.strip() and "\n" not in name and len(name) <= 200 for name in names)
    assert "Untitled record" in names
    assert any(name.endswith("…") for name in names)


async def test_the_parts_of_a_walk_are_the_list_the_bases_and_the_tables(
    standing: tuple[World, str], reader: RealCall
) -> None:
    parts = [read.place.part for read in await walks.walked(CONNECTOR, reader, "records")]
    bases, tables = live(standing[0], "bases"), live(standing[0], "tables")
    assert {part.id for part in parts} == {"bases", *bases, *tables}
    assert {part.id for part in parts if part.lists} == {"bases", *bases}
    assert any(part.name.startswith("table “") for part in parts)
    for part in parts:
        assert part.schema == (part.id.partition("/")[0] if "/" in part.id else None)


async def test_a_schema_comes_with_the_list_of_tables_and_is_not_asked_for_again(
    reader: RealCall,
) -> None:
    await walk(reader, "records")
    asked = Counter(request.path for request in reader.sent if request.path.endswith("/tables"))
    assert set(asked.values()) == {1}


async def test_a_copied_base_keeps_its_record_ids_and_both_are_items(reader: RealCall) -> None:
    last = Counter(
        record.id.rpartition("/")[2] for record in records(await walk(reader, "records"))
    )
    assert max(last.values()) == 2


async def test_every_call_counts_against_the_token_and_calls_into_a_base_against_it(
    reader: RealCall,
) -> None:
    await walk(reader, "records")
    assert {request.buckets[0] for request in reader.sent} == {"token"}
    into = [request for request in reader.sent if request.path != "/v0/meta/bases"]
    for request in into:
        (base,) = re.findall(r"app[0-9A-Za-z]+", request.path)
        assert request.buckets[1] == f"base:{base}"


@pytest.mark.parametrize("resource", ["bases", "tables", "records"])
async def test_items_are_read_by_id_and_what_is_gone_is_named(
    world: World, call: RealCall, resource: str
) -> None:
    account = world.simulated.default.id
    ids = tuple(live(world, resource))[:250]
    world.mutate(account, resource, create=0, update=[ids[1]], archive=[ids[0]])
    nowhere = NOWHERE[resource]
    lookup = await CONNECTOR.read(call, resource, (*ids, nowhere, "appX/../x", "rec'1"))
    assert sorted(record.id for record in lookup.records) == sorted(ids[1:])
    assert sorted(lookup.absent) == sorted([ids[0], nowhere])


async def test_what_a_formula_leaves_out_is_asked_for_by_itself_and_proves_nothing_until_then(
    world: World, call: RealCall
) -> None:
    """The formula's reply is short: an answer with no records, though each of them is there."""
    ids = tuple(live(world, "records"))[:3]

    async def short(request: Request) -> Response:
        answer = await call(request)
        if "filterByFormula" not in dict(request.params):
            return answer
        return msgspec.structs.replace(answer, body={"records": []})

    assert await CONNECTOR.read(short, "records", ids) == Lookup()


async def test_of_a_base_that_is_gone_two_calls_settle_all_rows(
    world: World, call: RealCall
) -> None:
    rows = [
        id_ for id_ in live(world, "records") if id_.startswith(next(iter(live(world, "bases"))))
    ]
    base = rows[0].partition("/")[0]
    world.mutate(world.simulated.default.id, "bases", create=0, update=[], archive=[base])
    before = len(call.sent)
    lookup = await CONNECTOR.read(call, "records", tuple(rows[:40]))
    assert sorted(lookup.absent) == sorted(rows[:40])
    assert len(call.sent) - before == 2, "the tables of the base, and whether it is still listed"


async def test_an_expired_iterator_starts_its_table_again(world: World, call: RealCall) -> None:
    async for place, page in walks.walk(CONNECTOR, call, "records"):
        if page.cursor is not None:
            world.clock.advance(1000)
            late = msgspec.structs.replace(place, cursor=page.cursor)
            with pytest.raises(Restart):
                await CONNECTOR.page(call, "records", late)
            return
    pytest.fail("no table has two pages")


async def test_T21_a_bad_record_is_set_aside_with_its_place_and_the_good_ones_pass() -> None:
    bad = [
        {"id": 7, "fields": {}},
        None,
        {"id": "rec1", "fields": []},
        {"id": "rec/../x", "fields": {}},
        {"id": "rec1\n", "fields": {}},
    ]
    (page,) = [
        p
        for p in await walk(scripted({"records": [row(1, fldName="a"), *bad, row(2)]}), "records")
        if p.records
    ]
    assert [record.name for record in page.records] == ["a", "Untitled record"]
    pointers = [
        "/records/1/id",
        "/records/2",
        "/records/3/fields",
        "/records/4/id",
        "/records/5/id",
    ]
    assert [rejected.pointer for rejected in page.rejected] == pointers
    assert msgspec.json.decode(page.rejected[0].raw) == bad[0]


async def test_an_odd_field_beside_the_content_never_costs_the_record() -> None:
    rows = {"records": [{**row(1, fldName="a"), "createdTime": 17}]}
    (page,) = [page for page in await walk(scripted(rows), "records") if page.records]
    (record,) = page.records
    assert (record.name, record.created_at, record.odd) == ("a", None, ("createdTime",))


def test_an_odd_name_of_a_base_table_or_field_costs_neither_it_nor_its_rows() -> None:
    base = base_record({"id": "app1", "name": 7, "permissionLevel": 3})
    assert (base.name, base.odd) == ("Untitled base", ("name",))
    raw = {
        "id": "tbl1",
        "name": ["odd"],
        "primaryFieldId": None,
        "fields": [None, {"id": "fld1"}, {"id": "fld2", "name": "Weight"}],
    }
    table = table_record("app1", raw)
    assert (table.name, table.odd) == ("Untitled table", ("name",))
    walked = table_in(base_schema([raw]), "tbl1")
    assert walked is not None
    record = row_record("app1", walked, {"id": "rec1", "fields": {"fld1": 1, "fld2": 2}})
    assert record.raw["fields"] == {"fld1": 1, "Weight": 2}
    assert (record.name, record.odd) == ("Untitled record", ())


@pytest.mark.parametrize(
    "body", [None, [], {}, {"records": None}, {"records": {}}, {"records": [], "offset": 3}]
)
async def test_T21_a_page_of_another_shape_is_malformed(body: object) -> None:
    with pytest.raises(RetryLater) as raised:
        await walk(scripted(body), "records")
    assert raised.value.code == "malformed_page"


def test_a_providers_words_are_cut_and_escaped() -> None:
    found = problem(
        Response(
            status=422,
            headers={},
            body={"error": {"type": "X", "message": "<b>\u202e\0" + "y" * 900}},
        )
    )
    assert found is not None
    assert "<b>" not in found.reason
    assert found.reason.isprintable()
    assert len(found.reason) < 260


async def test_a_missing_scope_is_named(standing: tuple[World, str]) -> None:
    url = standing[1]
    token = access_token(url, scope="data.records:read")
    call = RealCall(url, token)
    with pytest.raises(Reject) as raised:
        await walk(call, "records")
    await call.aclose()
    assert raised.value.scope == SCHEMA
    assert SCHEMA in raised.value.reason


async def test_a_base_that_is_listed_but_locked_is_named_and_is_no_reason_to_reconnect() -> None:
    refused = problem(
        Response(
            status=403,
            headers={},
            body={"error": {"type": "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND"}},
        )
    )
    assert refused is not None
    with pytest.raises(Reject, match="Orchard") as raised:
        await walk(scripted(**{META: [refused]}), "tables")
    assert raised.value.scope is None, "the console offers to reconnect for it"
    assert (raised.value.remedy or "").startswith("Share it with the account")


async def test_a_base_without_permission_is_set_aside_in_sight() -> None:
    shared = {
        "bases": [
            *BASES["bases"],
            {"id": "appInterface", "name": "Only an interface", "permissionLevel": "none"},
        ]
    }
    pages = await walk(scripted(**{"/v0/meta/bases": [shared]}), "tables")
    assert [record.id for record in records(pages)] == [f"{BASE}/{TABLE}"]
    assert [
        (r.pointer, "Only an interface" in r.reason) for page in pages for r in page.rejected
    ] == [("/bases/1", True)]


@pytest.mark.parametrize("resource", ["tables", "records"])
async def test_a_base_removed_between_listing_and_reading_is_passed_over(
    world: World, call: RealCall, resource: str
) -> None:
    pages: list[Page] = []
    gone = live(world, "bases")[0]
    async for read in walks.walk(CONNECTOR, call, resource):
        if not pages:
            world.mutate(world.simulated.default.id, "bases", create=0, update=0, archive=[gone])
        pages.append(read.page)
    assert {record.id for record in records(pages)} == {
        id_ for id_ in live(world, resource) if not id_.startswith(gone)
    }


async def test_a_table_deleted_while_it_is_read_is_passed_over_and_a_closed_one_is_refused() -> (
    None
):
    closed = problem(
        Response(
            status=403,
            headers={},
            body={"error": {"type": "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND"}},
        )
    )
    assert await walk(scripted(closed, **{META: [TABLES, {"tables": []}]}), "records")
    with pytest.raises(Reject, match="Trees"):
        await walk(scripted(closed), "records")


async def test_cursors_stay_small_however_many_tables_and_fields_there_are() -> None:
    wide = [{"id": f"fld{n}", "name": f"Field {n}"} for n in range(900)]
    several = [
        {"id": f"tbl{n}", "name": f"T{n}", "primaryFieldId": "fld1", "fields": wide}
        for n in range(5)
    ]
    lists = {
        f"/v0/{BASE}/tbl{n}": [
            {"records": [row(n, fld1="x")], "offset": "itr1/rec2"},
            {"records": []},
        ]
        for n in range(5)
    }
    call = scripted(**{META: [{"tables": several}]}, **lists)
    pages = await walk(call, "records")
    assert [record.id.split("/")[1] for record in records(pages)] == [f"tbl{n}" for n in range(5)]
    assert [request.path for request in call.sent].count(META) == 1
    assert max(len(msgspec.json.encode(page.cursor)) for page in pages) < 100


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("  two\n lines\0 ", "two lines"),
        (42, "42"),
        (0.5, "0.5"),
        (12345678901234567, "12345678901234567"),
        (0, "0"),
        (True, "Yes"),
        ({"id": "usr1", "email": "a@b.c", "name": "Ada"}, "Ada"),
        ({"text": "TRB-1", "type": "code39"}, "TRB-1"),
        ({"state": "generated", "value": "Plum", "isStale": False}, "Plum"),
        ([{"id": "att1", "filename": "photo.jpg", "url": "u"}], "photo.jpg"),
        (["a", None, 2], "a, 2"),
        ({"error": "#ERROR!"}, ""),
        ({"specialValue": "NaN"}, ""),
        (None, ""),
        ([[[[[["deep"]]]]]], ""),
    ],
)
def test_a_primary_cell_reads_as_a_person_would_say_it(cell: object, name: str) -> None:
    assert spoken(cell) == name


async def test_records_come_in_pages_of_a_hundred_by_field_id(reader: RealCall) -> None:
    await walk(reader, "records")
    asked = [
        dict(one.params)
        for one in reader.sent
        if one.path.count("/") == 3 and "meta" not in one.path
    ]
    assert {(one["pageSize"], one["returnFieldsByFieldId"]) for one in asked} == {("100", "true")}
