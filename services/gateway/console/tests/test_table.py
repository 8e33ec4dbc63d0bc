"""The items table shows every row once, whichever way a person pages."""

import html
import re

import httpx
import msgspec

from services.gateway.console.items import LONGEST_TRAIL, ROWS, TableQuery, paged, span
from services.gateway.console.tests.rows import add_connection, add_items, connection
from services.gateway.context import GatewayContext
from services.gateway.items.queries import SyncedItem

NAME = re.compile(r"data-dialog><bdi>([^<]*)</bdi>")


async def page(http: httpx.AsyncClient, query: str = "") -> str:
    answer = await http.get(f"/console/items{query}")
    assert answer.status_code == 200, answer.text
    return answer.text


def link(page: str, rel: str) -> str | None:
    found = re.search(rf'rel="{rel}" href="[^"]*" data-query="([^"]*)"', page)
    return html.unescape(found[1]) if found else None


async def filled(context: GatewayContext) -> None:
    companies = connection("c1", "hubspot")
    records = connection("c2", "airtable")
    await add_connection(context, companies)
    await add_connection(context, records)
    await add_items(
        context, companies, "companies", {f"{n:03}": {"name": f"Company {n:03}"} for n in range(40)}
    )
    await add_items(
        context, companies, "deals", {"1": {"name": "100% off"}, "2": {"name": "ÉCLAIR"}}
    )
    await add_items(
        context, records, "tables", {"app1/tbl1": {"name": "Fruit", "parent_id": "app1"}}
    )
    await add_items(context, records, "bases", {"app1": {"name": "Kitchen"}})
    rows = {
        f"app1/tbl1/rec{n:03}": {"name": f"Record {n:03}", "parent_id": "app1/tbl1"}
        for n in range(30)
    }
    await add_items(context, records, "records", rows)


async def test_next_shows_every_item_once_and_previous_goes_the_same_way_back(
    http: httpx.AsyncClient, context: GatewayContext
) -> None:
    await filled(context)
    forth: list[tuple[str, list[str]]] = []
    query: str | None = ""
    while query is not None:
        shown = await page(http, query)
        forth.append((query, NAME.findall(shown)))
        query = link(shown, "next")
    names = [name for _, rows in forth for name in rows]
    assert len(names) == len(set(names)) == 74
    back = []
    query = forth[-1][0]
    while query is not None:
        shown = await page(http, query)
        back.append(NAME.findall(shown))
        query = link(shown, "prev")
    assert back == [rows for _, rows in reversed(forth)]
    assert "51\N{EN DASH}74 of 74" in await page(http, forth[-1][0])


async def test_filters_narrow_the_table_and_count(
    http: httpx.AsyncClient, context: GatewayContext
) -> None:
    await filled(context)
    records = await page(http, "?provider=airtable&resource=records")
    assert all(name.startswith("Record") for name in NAME.findall(records))
    assert "1\N{EN DASH}25 of 30" in records
    assert re.search(r'aria-current="true">Records <span>30</span>', records)
    assert "Companies" not in records
    assert link(records, "next") is not None
    assert "provider=airtable" in str(link(records, "next"))


async def test_search_finds_parts_of_names_in_any_case_and_takes_signs_as_they_are(
    http: httpx.AsyncClient, context: GatewayContext
) -> None:
    await filled(context)
    assert NAME.findall(await page(http, "?q=COMPANY+03")) == [f"Company 03{n}" for n in range(10)]
    assert NAME.findall(await page(http, "?q=éclair")) == ["ÉCLAIR"]
    assert NAME.findall(await page(http, "?q=0%25")) == ["100% off"]
    assert "No item is called <q><bdi>&lt;b&gt;</bdi></q>" in await page(http, "?q=<b>")


async def test_a_search_shows_no_counts_because_they_would_be_those_of_all_items(
    http: httpx.AsyncClient, context: GatewayContext
) -> None:
    await filled(context)
    assert ">All sources <span>74</span></a>" in await page(http)
    found = await page(http, "?q=zzzz")
    assert ">All sources</a>" in found
    assert "<span>" not in found


async def test_a_row_says_what_it_lies_in(http: httpx.AsyncClient, context: GatewayContext) -> None:
    await filled(context)
    assert '<td class="parent"><bdi>Fruit</bdi></td>' in await page(http, "?resource=records")
    assert '<td class="parent"><bdi>Kitchen</bdi></td>' in await page(http, "?resource=tables")
    assert 'class="parent"' not in await page(http, "?resource=companies")


async def test_hiding_the_items_deletes_nothing(
    http: httpx.AsyncClient, context: GatewayContext
) -> None:
    await filled(context)
    hidden = await page(http, "?view=hidden&provider=hubspot")
    assert "Nothing was deleted" in hidden
    assert NAME.findall(hidden) == []
    assert 'data-query="?provider=hubspot"' in hidden
    assert len(NAME.findall(await page(http))) == ROWS


async def test_an_address_that_makes_no_sense_shows_the_first_page(
    http: httpx.AsyncClient, context: GatewayContext
) -> None:
    await filled(context)
    first = NAME.findall(await page(http))
    for query in (
        "?page=7",
        "?page=x",
        "?after=nonsense",
        "?trail=a+b",
        "?after=a/b&page=-1",
        "?page=9&unknown=1",
    ):
        assert NAME.findall(await page(http, query)) == first
    assert NAME.findall(await page(http, "?resource=nothing")) == []


def test_the_address_forgets_the_start_of_a_very_long_way() -> None:
    asked = TableQuery()
    one = SyncedItem(
        id="0",
        resource="r",
        connection_id="c",
        org_id="o",
        provider="hubspot",
        generation=1,
        version=1,
        name="Name",
        synced_at="",
    )
    found = [msgspec.structs.replace(one, id=str(n)) for n in range(ROWS + 1)]
    for number in range(1, LONGEST_TRAIL + 20):
        _, following = paged(asked, found)
        assert following is not None
        asked = TableQuery(
            after="c/r/24", trail=(*asked.trail, "c/r/24")[-LONGEST_TRAIL:], page=number + 1
        )
        assert len(following) < 1_000
    deep = TableQuery(after="c/r/24", page=90)
    assert paged(deep, [])[0] == "?", "without a trail the way back leads to the first page"
    assert span(deep, 3, None) == "2,226\N{EN DASH}2,228"
