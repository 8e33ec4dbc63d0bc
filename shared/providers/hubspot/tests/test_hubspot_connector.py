from __future__ import annotations

from typing import Any

import msgspec
import pytest

from deploy.sandbox.providers.hubspot.tests.serving import Serving, tokens
from deploy.sandbox.world import Limit, SandboxAccount
from shared.connector import (
    Gone,
    Interruption,
    Lookup,
    Page,
    Place,
    Reauthorize,
    Reject,
    Request,
    Response,
    RetryLater,
    Span,
)
from shared.providers import load_connector, load_providers
from shared.providers.hubspot import PROVIDER
from shared.providers.hubspot.connector import CONNECTOR
from shared.providers.hubspot.mapping import read_rows
from shared.providers.hubspot.tests.caller import Caller, walk
from shared.providers.hubspot.walk import chunks
from tests.support import walks

RESOURCES = tuple(resource.slug for resource in PROVIDER.resources)


def caller(sandbox: Serving, account: SandboxAccount, **more: Any) -> Caller:
    return Caller(sandbox.url, tokens(sandbox, account=account.id)["access_token"], **more)


class Scripted:
    """Answer every call with a 200 and the next of these bodies."""

    def __init__(self, *bodies: Any) -> None:
        self.bodies = list(bodies)
        self.seen: list[Request] = []

    async def __call__(self, request: Request) -> Response:
        self.seen.append(request)
        return Response(status=200, headers={}, body=self.bodies.pop(0))


def row(id_: str, **properties: Any) -> dict[str, Any]:
    return {
        "id": id_,
        "properties": properties,
        "createdAt": "2026-01-01T00:00:00.000Z",
        "updatedAt": None,
    }


def at(*names: str, room: int | None = None) -> Place:
    """Return the place before the first page, where a URL has ``room`` for these properties."""
    schema = {"names": list(names), "link": None}
    # No object has an id below 1, so the page after it is the first one.
    cursor = None if room is None else {"after": "0", "room": room}
    return Place(part=CONNECTOR.parts("contacts")[0], size=100, schema=schema, cursor=cursor)


def test_the_provider_is_found_with_its_resources_in_the_original_order() -> None:
    assert load_providers()["hubspot"] is PROVIDER
    assert load_connector("hubspot") is CONNECTOR
    assert RESOURCES == ("companies", "contacts", "deals")
    assert [resource.original.type for resource in PROVIDER.resources] == [
        "company",
        "contact",
        "deal",
    ]


@pytest.mark.parametrize("resource", RESOURCES)
async def test_a_walk_finds_every_live_object_once_with_all_its_properties(
    sandbox: Serving, small: SandboxAccount, resource: str
) -> None:
    sandbox.world.mutate(small.id, resource, create=2, update=2, archive=3)
    call = caller(sandbox, small)
    pages = await walk(call, resource)
    records = [record for page in pages for record in page.records]
    ledger = {id_: r for id_, r in sandbox.world.rows(small.id, resource).items() if not r.archived}
    assert [record.id for record in records] == sorted(ledger, key=int)
    assert all(record.modified_at == ledger[record.id].modified for record in records)
    assert all(record.created_at == ledger[record.id].created for record in records)
    assert not [page.rejected for page in pages if page.rejected]
    assert len(records[0].raw["properties"]) >= 25
    assert await CONNECTOR.count(call, resource) == len(records)
    await call.aclose()


async def test_requests_go_to_the_dated_paths_and_name_their_buckets(
    sandbox: Serving, small: SandboxAccount
) -> None:
    call = caller(sandbox, small)
    await walk(call, "deals")
    await CONNECTOR.count(call, "deals")
    known = {bucket.name for bucket in PROVIDER.buckets}
    assert [(request.method, request.path, request.buckets) for request in call.seen] == [
        ("GET", "/crm/properties/2026-03/deals", ("ten_secondly",)),
        ("GET", "/account-info/2026-03/details", ("ten_secondly",)),
        # Once for each kind of sensitive properties.
        ("GET", "/crm/properties/2026-03/deals", ("ten_secondly",)),
        ("GET", "/crm/properties/2026-03/deals", ("ten_secondly",)),
        ("GET", "/crm/objects/2026-03/deals", ("ten_secondly",)),
        ("POST", "/crm/objects/2026-03/deals/search", ("search",)),
    ]
    assert {name for request in call.seen for name in request.buckets} == known
    await call.aclose()


async def test_links_lead_to_the_record_in_hubspot(sandbox: Serving, small: SandboxAccount) -> None:
    call = caller(sandbox, small)
    for resource, type_id in (("contacts", "0-1"), ("companies", "0-2"), ("deals", "0-3")):
        record = (await walks.first_page(CONNECTOR, call, resource)).records[0]
        assert (
            record.url
            == f"https://app.hubspot.com/contacts/{small.id}/record/{type_id}/{record.id}"
        )
    await call.aclose()


@pytest.mark.parametrize(
    "details", [{}, {"portalId": 7, "uiDomain": "evil.example"}, {"portalId": "7"}, [], None]
)
async def test_without_usable_account_details_records_have_no_link(details: Any) -> None:
    properties = {"results": [{"name": "email"}]}
    none: dict[str, Any] = {"results": []}
    call = Scripted(properties, details, none, none, {"results": [row("1")]})
    assert (await walks.first_page(CONNECTOR, call, "contacts")).records[0].url is None


async def test_account_details_that_are_refused_cost_only_the_links(
    sandbox: Serving, small: SandboxAccount
) -> None:
    def fail(failure: Interruption) -> Any:
        def before(request: Request) -> None:
            if request.path.startswith("/account-info"):
                raise failure

        return before

    call = caller(sandbox, small, before=fail(Reject("no")))
    assert (await walks.first_page(CONNECTOR, call, "deals")).records[0].url is None
    await call.aclose()
    # Links that come back later would make each record look changed.
    call = caller(sandbox, small, before=fail(RetryLater("down")))
    with pytest.raises(RetryLater):
        await walks.first_page(CONNECTOR, call, "deals")
    await call.aclose()


def test_property_names_are_cut_into_lists_that_fit_a_url() -> None:
    names = [f"hs_custom_property_{n:04}" for n in range(1000)]
    lists = list(chunks(names, 7_000))
    assert len(lists) > 2
    assert ",".join(lists).split(",") == names
    assert all(len(one.replace(",", "%2C")) <= 7000 for one in lists)
    assert list(chunks([], 7_000)) == [""]


async def test_a_page_in_several_calls_is_one_page_of_whole_records(
    sandbox: Serving, small: SandboxAccount
) -> None:
    call = caller(sandbox, small)
    names = ("firstname", "lastname", "email", "jobtitle")
    page = await CONNECTOR.page(call, "contacts", at(*names, room=25))
    assert [dict(request.params).get("properties") for request in call.seen] == [
        "firstname,lastname",
        "email,jobtitle",
    ]
    whole = await CONNECTOR.page(call, "contacts", at(*names))
    assert [record.raw for record in page.records] == [record.raw for record in whole.records]
    assert page.cursor is not None
    assert page.cursor["after"] == (whole.cursor or {})["after"]
    await call.aclose()


async def test_a_row_archived_between_two_calls_of_a_page_is_left_out_and_none_is_half(
    sandbox: Serving, small: SandboxAccount
) -> None:
    victim = list(sandbox.world.rows(small.id, "contacts"))[50]

    def archive(request: Request) -> None:
        if ("properties", "email") in request.params:
            sandbox.world.mutate(small.id, "contacts", create=0, update=[], archive=[victim])

    call = caller(sandbox, small, before=archive)
    page = await CONNECTOR.page(call, "contacts", at("firstname", "email", room=12))
    assert (len(page.records), page.rejected) == (99, [])
    assert victim not in {record.id for record in page.records}
    assert all({"firstname", "email"} <= record.raw["properties"].keys() for record in page.records)
    await call.aclose()


async def test_a_row_pushed_off_the_page_between_two_calls_is_read_by_itself() -> None:
    again = {"results": [row("2", firstname="Lea", email="lea@x.example")]}
    call = Scripted(
        {
            "results": [row("1", firstname="Jo"), row("2", firstname="Lea")],
            "paging": {"next": {"after": "3"}},
        },
        {"results": [row("0", email="new@x.example"), row("1", email="jo@x.example")]},
        again,
    )
    page = await CONNECTOR.page(call, "contacts", at("firstname", "email", room=12))
    assert [record.raw["properties"] for record in page.records] == [
        {"firstname": "Jo", "email": "jo@x.example"},
        {"firstname": "Lea", "email": "lea@x.example"},
    ]
    assert call.seen[-1].json == {"inputs": [{"id": "2"}], "properties": ("firstname", "email")}
    assert page.cursor == {"after": "3", "room": 12}


MANY = tuple(f"hs_custom_property_{n:04}" for n in range(1_500))


async def test_many_names_are_sent_in_the_body_of_a_batch_read(
    sandbox: Serving, small: SandboxAccount
) -> None:
    call = caller(sandbox, small)
    names = ("firstname", "lastname", "email", "jobtitle")
    page = await CONNECTOR.page(call, "contacts", at(*names, *MANY))
    assert [(request.method, request.path) for request in call.seen] == [
        ("GET", "/crm/objects/2026-03/contacts"),
        ("POST", "/crm/objects/2026-03/contacts/batch/read"),
    ]
    ledger = sandbox.world.rows(small.id, "contacts")
    assert [record.id for record in page.records] == sorted(ledger, key=int)[:100]
    whole = await CONNECTOR.page(call, "contacts", at(*names))
    for one, other in zip(page.records, whole.records, strict=True):
        assert one.raw["properties"].items() >= other.raw["properties"].items()
        assert one.raw.keys() == other.raw.keys()
    await call.aclose()


async def test_names_are_cut_shorter_where_the_url_is_refused_and_that_is_remembered(
    sandbox: Serving, small: SandboxAccount
) -> None:
    call = caller(sandbox, small)
    names = ("firstname", "lastname", *MANY[:500])  # 12,500 bytes; the sandbox takes 8,192
    place = at(*names)
    page = await CONNECTOR.page(call, "contacts", place)
    assert [dict(request.params)["properties"].count(",") + 1 for request in call.seen] == [
        502,
        289,
        213,
    ]
    assert len(page.records) == 100
    assert page.cursor is not None
    assert page.cursor["room"] == 7_500
    call.seen.clear()
    await CONNECTOR.page(call, "contacts", msgspec.structs.replace(place, cursor=page.cursor))
    assert len(call.seen) == 2
    await call.aclose()


async def test_a_url_that_is_refused_whatever_its_length_ends_the_part() -> None:
    asked: list[Request] = []

    async def call(request: Request) -> Response:
        asked.append(request)
        raise Reject("too long", code="url_too_long")

    with pytest.raises(Reject, match="too long"):
        await CONNECTOR.page(call, "contacts", at("firstname"))
    assert len(asked) == 5


async def test_reading_by_id_gives_whole_records_and_leaves_out_what_is_gone(
    sandbox: Serving, small: SandboxAccount
) -> None:
    call = caller(sandbox, small)
    ids = list(sandbox.world.rows(small.id, "contacts"))[:120]
    sandbox.world.mutate(small.id, "contacts", create=0, update=[], archive=[ids[3]])
    lookup = await CONNECTOR.read(call, "contacts", (*ids, "404"))
    assert [record.id for record in lookup.records] == [id_ for id_ in ids if id_ != ids[3]]
    assert lookup.records[0] == (await walks.first_page(CONNECTOR, call, "contacts")).records[0]
    assert lookup.gone == [Gone(id=ids[3], reason="archived")]
    assert lookup.absent == ["404"]
    await call.aclose()


async def test_a_record_that_was_merged_away_names_the_one_it_went_into(
    sandbox: Serving, small: SandboxAccount
) -> None:
    call = caller(sandbox, small)
    ids = list(sandbox.world.rows(small.id, "companies"))[:2]
    merged = sandbox.world.mutate(small.id, "companies", create=0, update=[], archive=[], merge=ids)
    (new,) = merged["created"]
    lookup = await CONNECTOR.read(call, "companies", (*ids, new))
    assert lookup.gone == [Gone(id=id_, reason="merged", merged_into=new) for id_ in ids]
    assert [(one.id, one.replaces) for one in lookup.records] == [(new, tuple(ids))]
    walked = [record.id for page in await walk(call, "companies") for record in page.records]
    assert new in walked
    assert not set(ids) & set(walked)
    await call.aclose()


async def test_what_a_batch_leaves_out_proves_nothing_and_is_asked_for_by_itself() -> None:
    properties = {"results": [{"name": "email"}]}
    alive, survivor = {"id": "1", "properties": {}}, {"id": "9", "properties": {}}
    call = Scripted(properties, {}, {"results": []}, {"results": []}, alive, survivor)
    lookup = await CONNECTOR.read(call, "contacts", ("1", "2"))
    assert [request.path.rpartition("/")[2] for request in call.seen[-2:]] == ["1", "2"]
    assert lookup == Lookup(gone=[Gone(id="2", reason="merged", merged_into="9")])


@pytest.mark.parametrize(
    ("named", "ids"),
    [("11;22", ("11", "22")), ("1", ()), ("", ()), (None, ()), (7, ()), ("11;x;;1", ("11",))],
)
def test_a_record_names_the_objects_that_were_merged_into_it(
    named: Any, ids: tuple[str, ...]
) -> None:
    (record,), _ = read_rows([row("1", hs_merged_object_ids=named)], "contacts", None)
    assert record.replaces == ids


async def test_raw_is_the_whole_object(sandbox: Serving, small: SandboxAccount) -> None:
    call = caller(sandbox, small)
    record = (await walks.first_page(CONNECTOR, call, "deals")).records[0]
    found = await call(Request(method="GET", path=f"/crm/objects/2026-03/deals/{record.id}"))
    assert record.raw.keys() == found.body.keys()
    assert record.raw.keys() == {"id", "properties", "createdAt", "updatedAt", "archived", "url"}
    assert {**record.raw, "properties": None} == {**found.body, "properties": None}
    assert found.body["properties"].items() <= record.raw["properties"].items()
    await call.aclose()


def test_what_stands_beside_an_object_is_no_content_and_the_object_itself_is() -> None:
    def content(**more: Any) -> Any:
        (record,), _ = read_rows(
            [{**row("1", amount="5"), "archived": False, **more}], "deals", None
        )
        assert record.raw.items() >= more.items()
        return record.content

    plain = content()
    assert (
        content(url="https://app-eu1.hubspot.com/contacts/7/record/0-3/1", objectWriteTraceId="t")
        == plain
    )
    for changed in (
        {"archived": True},
        {"properties": {"amount": "6"}},
        {"updatedAt": "2026-02-02T00:00:00.000Z"},
    ):
        assert content(**changed) != plain


async def test_a_missing_scope_is_named_and_leaves_other_resources_alone(
    sandbox: Serving, small: SandboxAccount
) -> None:
    granted = tokens(sandbox, account=small.id, scopes=("oauth", "crm.objects.contacts.read"))
    call = Caller(sandbox.url, granted["access_token"])
    with pytest.raises(Reject) as refused:
        await walks.first_page(CONNECTOR, call, "deals")
    assert (refused.value.scope, refused.value.code) == ("crm.objects.deals.read", "missing_scope")
    assert "crm.objects.deals.read" in refused.value.reason
    assert (await walks.first_page(CONNECTOR, call, "contacts")).records
    await call.aclose()


async def test_an_expired_token_asks_for_another(sandbox: Serving, small: SandboxAccount) -> None:
    call = caller(sandbox, small)
    sandbox.world.clock.advance(1801)
    with pytest.raises(Reauthorize) as refused:
        await walks.first_page(CONNECTOR, call, "deals")
    assert refused.value.code == "expired_authentication"
    await call.aclose()


async def test_real_limits_say_how_long_to_wait(sandbox: Serving, small: SandboxAccount) -> None:
    call = caller(sandbox, small)
    sandbox.world.limiter.limits |= {"ten_secondly": Limit(1, 4.0), "search": Limit(1, 60.0)}
    with pytest.raises(RetryLater) as listing:
        await walk(call, "contacts")
    assert (listing.value.after_s, listing.value.limit) == (4.0, True)
    await CONNECTOR.count(call, "contacts")
    with pytest.raises(RetryLater) as searching:
        await CONNECTOR.count(call, "contacts")
    assert (searching.value.after_s, searching.value.limit) == (1.0, True)
    await call.aclose()


@pytest.mark.parametrize(
    ("resource", "properties", "name"),
    [
        ("contacts", {"firstname": "Lea", "lastname": "Marlow"}, "Lea Marlow"),
        ("contacts", {"firstname": "Lea", "lastname": None, "email": "x@y.example"}, "Lea"),
        ("contacts", {"firstname": "", "lastname": "Marlow"}, "Marlow"),
        ("contacts", {"firstname": " ", "email": "x@y.example"}, "x@y.example"),
        ("contacts", {"firstname": "Ada\n", "lastname": "  de  Vries"}, "Ada de Vries"),
        ("contacts", {}, "Contact 7"),
        ("companies", {"name": "Acme", "domain": "acme.example"}, "Acme"),
        ("companies", {"name": None, "domain": "acme.example"}, "acme.example"),
        ("companies", {"name": 5}, "Company 7"),
        ("deals", {"dealname": "Renewal"}, "Renewal"),
        ("deals", {"dealname": ""}, "Deal 7"),
    ],
)
def test_a_record_is_called_what_a_person_would_call_it(
    resource: str, properties: dict[str, Any], name: str
) -> None:
    records, _ = read_rows([{"id": "7", "properties": properties}], resource, None)
    assert records[0].name == name


def test_T21_a_bad_record_is_set_aside_with_its_place_and_the_good_ones_pass() -> None:
    bad: list[Any] = [
        None,
        "text",
        {"properties": {}},
        {"id": 5, "properties": {}},
        {"id": "../7", "properties": {}},
        {"id": "8", "properties": []},
    ]
    records, rejected = read_rows([row("1"), *bad, row("2")], "deals", None)
    assert [record.id for record in records] == ["1", "2"]
    assert [entry.pointer for entry in rejected] == [
        f"/results/{n}" for n in range(1, len(bad) + 1)
    ]
    assert [msgspec.json.decode(entry.raw) for entry in rejected] == bad
    assert all(entry.reason for entry in rejected)


@pytest.mark.parametrize("odd", [17, "", "yesterday", "2026-02-30T00:00:00Z", "2026-01-01", {}])
def test_an_odd_time_never_costs_the_record(odd: Any) -> None:
    (record,), rejected = read_rows([{**row("9"), "createdAt": odd}], "deals", None)
    assert (record.created_at, record.odd, rejected) == (None, ("createdAt",), [])
    assert record.raw["createdAt"] == odd


@pytest.mark.parametrize("odd", [17, True, ["a"], {}])
def test_an_odd_name_never_costs_the_record_and_is_counted(odd: Any) -> None:
    (record,), rejected = read_rows([row("9", dealname=odd)], "deals", None)
    assert (record.name, record.odd, rejected) == ("Deal 9", ("name",), [])


def test_a_time_that_is_absent_is_not_odd() -> None:
    (record,), _ = read_rows([row("9")], "deals", None)
    assert (record.modified_at, record.odd) == (None, ())


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "text",
        {},
        {"results": None},
        {"results": {}},
        {"results": [], "paging": "more"},
        {"results": [], "paging": {"next": "more"}},
        {"results": [], "paging": {"next": {}}},
        {"results": [], "paging": {"next": {"after": ""}}},
        {"results": [], "paging": {"next": {"after": 5}}},
    ],
)
async def test_T21_a_page_of_another_shape_is_a_malformed_page(body: Any) -> None:
    with pytest.raises(RetryLater) as refused:
        await CONNECTOR.page(Scripted(body), "contacts", at("email"))
    assert refused.value.code == "malformed_page"


@pytest.mark.parametrize("more", [{}, {"paging": None}, {"paging": {}}, {"paging": {"next": None}}])
async def test_a_page_without_a_next_place_is_the_last(more: dict[str, Any]) -> None:
    page = await CONNECTOR.page(Scripted({"results": [], **more}), "contacts", at("email"))
    assert page == Page(records=[], cursor=None)


@pytest.mark.parametrize("body", [None, {}, {"total": "12"}, {"total": True}])
async def test_a_search_without_a_total_is_a_malformed_page(body: Any) -> None:
    with pytest.raises(RetryLater) as refused:
        await CONNECTOR.count(Scripted(body), "contacts")
    assert refused.value.code == "malformed_page"


async def test_a_range_of_ids_is_counted_and_listed_in_numeric_order(
    sandbox: Serving, small: SandboxAccount
) -> None:
    call = caller(sandbox, small)
    sandbox.world.limiter.off = True
    sandbox.world.mutate(small.id, "contacts", create=2, update=0, archive=3)
    rows = sandbox.world.rows(small.id, "contacts").values()
    every = sorted((row.id for row in rows if not row.archived), key=int)
    for span in (Span("0"), Span(every[2]), Span("0", every[2]), Span(every[1], every[-1])):
        inside = [id_ for id_ in every if span.has(id_)]
        assert await CONNECTOR.count(call, "contacts", span) == len(inside)
        assert list(await CONNECTOR.list_ids(call, "contacts", span)) == inside[:200]
    await call.aclose()
