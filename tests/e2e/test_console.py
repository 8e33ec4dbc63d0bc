"""The console works against the whole product, and spares people what they must not see."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.e2e.browser import Visit, allow, chromium, needs_chromium, served, visit
from tests.support.client import RESOURCES
from tests.support.product import Product, product
from tests.support.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.browser, needs_chromium]
COUNTS = {"companies": 430, "contacts": 520, "deals": 360}
ALL_NASTY = {"companies": 830}
"""Enough for every kind of name that the sandbox makes up to trip over."""
SLOW_MS = 100
LABELS = {"companies": "Companies", "contacts": "Contacts", "deals": "Deals"}
NASTY = (
    "<img src=x onerror=alert(1)>",
    "{{7*7}} ${7*7} <script>alert(1)</script>",
    '=HYPERLINK("http://example.test","Open")',
    "'; DROP TABLE contacts;--",
    "invoice\u202efdp.exe",
)


class World(NamedTuple):
    product: Product
    browser: Browser


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with product(tmp_path_factory.mktemp("console")) as running, chromium() as browser:
        yield World(running, browser)


@pytest.fixture(autouse=True)
def nothing_connected(world: World) -> None:
    for provider in RESOURCES:
        world.product.unlimited(provider)
    for connection in world.product.api("GET", "/v1/connections")["connections"]:
        world.product.api("DELETE", f"/v1/connections/{connection['id']}")


@pytest.fixture
def person(world: World) -> Iterator[Visit]:
    with visit(world.browser) as one:
        yield one


def counts(page: Page) -> dict[str, str]:
    """Return resource → the count that its line on the card shows."""
    lines = page.locator("#card-hubspot .bars .bar")
    shown = {
        line.locator(".what").inner_text().strip(): line.locator(".count").inner_text()
        for line in lines.all()
    }
    return {resource: shown[label] for resource, label in LABELS.items()}


def totals(product: Product, account: str) -> dict[str, str]:
    return {
        resource: f"{len(product.ledger('hubspot', account, resource)):,}" for resource in LABELS
    }


def test_a_person_connects_watches_searches_looks_syncs_again_and_disconnects(
    world: World, person: Visit
) -> None:
    product = world.product
    account = product.account("hubspot", COUNTS, name="Watched")
    product.control("PUT", "hubspot/limits", json={"off": True, "latency_ms": SLOW_MS})
    page = person.page(product.url)
    card = page.locator("#card-hubspot")
    with page.expect_popup() as opened:
        card.get_by_role("button", name="Connect HubSpot").click()
    allow(opened.value, account)
    (connection,) = product.api("GET", "/v1/connections")["connections"]
    watch_it_come_in(product, card, connection["sync_id"])
    expect(card.locator(".status").first).to_contain_text("Connected")
    assert counts(page) == totals(product, account)
    assert product.differences("hubspot", account, connection["id"]) == {}

    look_up(page, product, connection["id"])
    product.control(
        "POST",
        f"hubspot/accounts/{account}/mutate",
        json={"resource": "deals", "create": 7, "archive": 2},
    )
    card.get_by_role("button", name="Sync now").click()
    deals = f"{len(product.ledger('hubspot', account, 'deals')):,}"
    eventually(lambda: counts(page)["deals"] == deals and "Syncing" not in card.inner_text())
    assert counts(page) == totals(product, account)

    disconnect(page, card)
    assert product.api("GET", "/v1/items")["items"] == []
    assert person.complaints == []
    assert person.dialogs == []


def watch_it_come_in(product: Product, card: Locator, sync: str) -> None:
    eventually(lambda: moving(product, sync), every=0.02)
    eventually(lambda: re.search("[1-9]", card.locator(".bars").inner_text()), every=0.02)
    expect(card.locator("progress").first).to_be_visible()
    on_the_way = set()
    while "Syncing" in card.inner_text():
        on_the_way.add(tuple(line.inner_text() for line in card.locator(".bars .count").all()))
    assert len(on_the_way) > 2, "it is seen to come in"


def disconnect(page: Page, card: Locator) -> None:
    card.get_by_role("link", name="Disconnect").click()
    page.get_by_role("button", name="Disconnect and delete items").click()
    expect(card).to_contain_text("Not connected")
    expect(page.locator("#items tbody tr")).to_have_count(0)


def moving(product: Product, sync: str) -> bool:
    return any(one["items"] for one in product.api("GET", f"/v1/syncs/{sync}")["resources"])


def look_up(page: Page, product: Product, connection: str) -> None:
    """Search finds an item as its name is typed; its drawer shows what the provider sent."""
    item = list(product.items(connection, "deals"))[100]
    page.get_by_role("searchbox").press_sequentially(item["name"])
    expect(page).to_have_url(re.compile("[?&]q="))
    page.get_by_role("link", name=item["name"], exact=True).first.click()
    drawer = page.get_by_role("dialog")
    expect(drawer.locator("pre")).to_contain_text('"dealname"')
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    page.get_by_role("searchbox").fill("")


def test_a_search_typed_while_a_load_runs_is_not_lost(world: World, person: Visit) -> None:
    product = world.product
    account = product.account("hubspot", COUNTS, name="Searched")
    product.control("PUT", "hubspot/limits", json={"off": True, "latency_ms": 4 * SLOW_MS})
    product.connect("hubspot", account=account)
    page = person.page(product.url)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route(re.compile("/console/items.*[?&]q=nobody"), hold)
    page.get_by_role("searchbox").fill("nobody")
    eventually(lambda: page.locator("#cards").get_attribute("data-live") is not None and held)
    before = len(person.asked)

    def refreshed_or_over() -> bool:
        live = page.locator("#cards").get_attribute("data-live")
        return live == "" or any("/console/items" in url for _, url in person.asked[before:])

    eventually(refreshed_or_over)
    for route in held:
        route.continue_()
    page.unroute_all()
    expect(page.locator("#items")).to_contain_text("No item is called")
    assert person.complaints == []


def test_the_link_of_a_simulated_record_opens_its_page_in_the_sandbox(
    world: World, person: Visit
) -> None:
    product = world.product
    account = product.account("hubspot", {"deals": 3}, name="Linked")
    connection = product.connect("hubspot", account=account)
    product.synced(connection["sync_id"])
    item = next(iter(product.items(connection["id"], "deals")))
    page = person.page(product.url)
    page.get_by_role("link", name=item["name"], exact=True).first.click()
    with page.expect_popup() as opened:
        page.get_by_role("dialog").get_by_role("link", name="Open in HubSpot").click()
    expect(opened.value.locator(".mark")).to_have_text("Simulated")
    expect(opened.value.get_by_role("heading", level=1)).to_have_text(item["name"])
    assert opened.value.url.startswith(product.sandbox)
    assert person.complaints == []


@pytest.mark.variation
def test_connecting_reading_and_disconnecting_need_no_javascript(world: World) -> None:
    product = world.product
    account = product.account("airtable", {"bases": 1, "tables": 2, "records": 40}, name="Plain")
    total = sum(
        len(product.ledger("airtable", account, resource)) for resource in RESOURCES["airtable"]
    )
    with visit(world.browser, java_script_enabled=False) as person:
        page = person.page(product.url)
        page.get_by_role("button", name="Connect Airtable").click()
        page.locator(f"input[name=account][value='{account}']").check()
        page.get_by_role("button", name="Allow").click()
        expect(page.get_by_role("alert")).to_contain_text("Airtable is connected")
        expect(page.locator("#card-airtable .figure strong")).to_have_text(str(total))
        page.get_by_role("link", name="Records").first.click()
        expect(page.locator("#items tbody tr").first).to_be_visible()
        page.locator("#items tbody th a").first.click()
        expect(page.locator("pre")).to_contain_text('"fields"')
        page.get_by_role("link", name="Back to all items").click()
        page.get_by_role("link", name="Disconnect").click()
        page.get_by_role("button", name="Disconnect and delete items").click()
        expect(page.locator("#card-airtable")).to_contain_text("Not connected")
        assert person.complaints == []
    assert product.api("GET", "/v1/connections")["connections"] == []


@pytest.mark.variation
def test_T13_names_that_are_markup_or_scripts_stay_text(world: World, person: Visit) -> None:
    product = world.product
    account = product.account("hubspot", ALL_NASTY, name=NASTY[0])
    workspace = product.account("notion", {"pages": 3}, name=NASTY[0])
    product.synced(product.connect("hubspot", account=account)["sync_id"])
    page = person.page(product.url)
    with page.expect_popup() as opened:
        page.get_by_role("button", name="Connect Notion").click()
    opened.value.get_by_role("button", name="Allow").wait_for()
    allow(opened.value, workspace)
    expect(page.locator("#card-notion .who")).to_contain_text(NASTY[0])
    expect(page.locator("#cards")).to_have_attribute("data-live", "")
    for name in NASTY:
        page.get_by_role("searchbox").fill(name)
        found = page.locator("#items tbody th a").filter(has_text=name).first
        found.click()
        expect(page.get_by_role("dialog").locator("h1")).to_contain_text(name)
        page.keyboard.press("Escape")
    assert (
        page.locator("main img, #items script, #drawer script, a[href^='javascript']").count() == 0
    )
    assert person.dialogs == []
    assert person.complaints == []


@pytest.mark.parametrize(
    "path",
    ["/", "/?q=a", "/docs", "/events", "/connect/unknown", "/integrations/notion/oauth2callback"],
)
def test_T37_no_page_of_ours_shows_inside_another_site(
    world: World, person: Visit, tmp_path: Path, path: str
) -> None:
    with served(tmp_path) as port:
        frame = (
            '<!doctype html><link rel="icon" href="data:,"><iframe '
            f'src="{world.product.url}{path}"></iframe>'
        )
        (tmp_path / "index.html").write_text(frame)
        page = person.page(f"http://localhost:{port}/index.html")
        eventually(lambda: any("frame" in complaint.lower() for complaint in person.complaints))
        framed = page.frames[1]
        assert framed.url.startswith("chrome-error://")
        assert "Tributary" not in framed.locator("body").inner_text()
    answer = world.product.http.get(world.product.url + path, headers={"accept": "text/html"})
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    ("path", "shown"), [("/docs", "/v1/items"), ("/events", "tributary.items.v1")]
)
def test_the_documentation_is_read_without_any_other_server(
    world: World, person: Visit, path: str, shown: str
) -> None:
    page = person.page(world.product.url + path)
    expect(page.locator("body")).to_contain_text(shown)
    assert [
        url for _, url in person.asked if not url.startswith((world.product.url, "data:", "blob:"))
    ] == []
    assert person.complaints == []
