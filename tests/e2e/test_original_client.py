"""The original app's browser client works against the whole product, unchanged in what it asks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browser import Visit, allow, chromium, needs_chromium, sandbox_secrets, served, visit
from tests.support.client import RESOURCES
from tests.support.product import Product, product
from tests.support.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.browser, needs_chromium]
CLIENT = Path(__file__).parent / "original_client"
FIELDS = [
    "id",
    "type",
    "directory",
    "parent_path_or_name",
    "parent_id",
    "name",
    "creation_time",
    "last_modified_time",
    "url",
    "children",
    "mime_type",
    "delta",
    "drive_id",
    "visibility",
]
SHOWN = {
    "companies": ("company", ""),
    "contacts": ("contact", ""),
    "deals": ("deal", ""),
    "pages": ("page", ""),
    "data_sources": ("database", ""),
    "users": ("user", ""),
    "bases": ("Base", "_Base"),
    "tables": ("Table", "_Table"),
    "records": ("Record", "_Record"),
}
NAMES = {"hubspot": "HubSpot", "notion": "Notion", "airtable": "Airtable"}
SMALL = {
    "hubspot": {"companies": 230, "contacts": 320, "deals": 75},
    "notion": {"pages": 130, "data_sources": 3, "users": 4},
    "airtable": {"bases": 2, "tables": 4, "records": 240},
}
TINY = {"hubspot": {"companies": 3}, "notion": {"users": 2}, "airtable": {"bases": 1}}


class World(NamedTuple):
    product: Product
    browser: Browser
    port: int
    """Port of the client's page: its ``localhost`` is allowed, its ``127.0.0.1`` is not."""

    def client(self, one: Visit, provider: str, user: str, *, host: str = "localhost") -> Page:
        page = one.page(f"http://{host}:{self.port}/index.html?api={self.product.url}")
        page.fill("#user", user)
        page.select_option("#type", NAMES[provider])
        return page


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("original")
    with served(CLIENT) as port:
        origins = f"http://localhost:{port}"
        with product(folder, TRIBUTARY_ALLOWED_ORIGINS=origins) as running, chromium() as browser:
            for provider in RESOURCES:
                running.unlimited(provider)
            yield World(running, browser, port)


@pytest.fixture
def person(world: World) -> Iterator[Visit]:
    with visit(world.browser) as one:
        yield one


def connect(page: Page) -> Page:
    """Return the popup that the client opens, on the provider's page."""
    with page.expect_popup() as opened:
        page.click("#connect")
    popup = opened.value
    popup.get_by_role("button", name="Allow").wait_for()
    return popup


def load(page: Page) -> list[dict[str, Any]]:
    page.click("#load")
    expect(page.locator("#loaded")).not_to_have_value("", timeout=60_000)
    rows: list[dict[str, Any]] = json.loads(page.input_value("#loaded"))
    return rows


@pytest.mark.parametrize("provider", RESOURCES)
def test_the_original_client_connects_and_loads_what_really_exists(
    world: World, person: Visit, provider: str
) -> None:
    product = world.product
    account = product.account(provider, SMALL[provider], name="Orchard")
    page = world.client(person, provider, f"whole-{provider}")
    allow(connect(page), account)
    expect(page.locator("#status")).to_have_text(f"{NAMES[provider]} Connected")
    rows = load(page)

    posted = [request for request in person.forms if request.url.startswith(product.url)]
    asked = [
        request.url.removeprefix(f"{product.url}/integrations/{provider}/") for request in posted
    ]
    assert asked == ["authorize", "credentials", "load"]
    for request in posted:
        assert request.headers["content-type"].startswith("multipart/form-data; boundary=")
    credentials = posted[1].response().json()  # type: ignore[union-attr]  # it was answered
    assert credentials
    secrets = sandbox_secrets(product)
    assert secrets["tokens"]
    assert not [
        secret for some in secrets.values() for secret in some if secret in json.dumps(credentials)
    ]
    urls = "\n".join(url for _, url in person.asked)
    assert not [secret for secret in secrets["tokens"] if secret in urls]
    check_rows(product, provider, account, rows)
    assert person.complaints == []
    assert person.dialogs == []


def check_rows(product: Product, provider: str, account: str, rows: list[dict[str, Any]]) -> None:
    """Check for one row per item of the ledger, by resource, then by parent, then by id."""
    assert all(list(row) == FIELDS for row in rows)
    at = 0
    for resource in RESOURCES[provider]:
        kind, suffix = SHOWN[resource]
        ledger = {
            id_.rpartition("/")[2] + suffix: row
            for id_, row in product.ledger(provider, account, resource).items()
        }
        some = rows[at : at + len(ledger)]
        at += len(ledger)
        assert {row["type"] for row in some} == {kind}
        assert {row["id"] for row in some} == set(ledger)
        assert [(row["parent_id"] or "", row["id"]) for row in some] == sorted(
            (row["parent_id"] or "", row["id"]) for row in some
        )
        for row in some:
            assert row["name"]
            assert "None" not in row["name"].split()
            assert (row["directory"], row["children"], row["visibility"]) == (False, None, True)
            check_time(row, None if resource == "users" else ledger[row["id"]]["modified"])
            if provider == "airtable":
                check_parent(row, ledger[row["id"]]["id"], resource)
    assert at == len(rows)


def check_time(row: dict[str, Any], modified: str | None) -> None:
    ours = row["last_modified_time"]
    assert (ours is None) == (modified is None)
    assert not modified or datetime.fromisoformat(ours) == datetime.fromisoformat(modified)


def check_parent(row: dict[str, Any], path: str, resource: str) -> None:
    above = {"bases": None, "tables": "Base", "records": "Table"}[resource]
    assert row["parent_id"] == (above and f"{path.split('/')[-2]}_{above}")
    assert bool(row["parent_path_or_name"]) == bool(above)


def test_the_popup_explains_a_declined_consent_and_the_client_is_told_why(
    world: World, person: Visit
) -> None:
    page = world.client(person, "notion", "declines")
    popup = connect(page)
    popup.get_by_role("button", name="Deny").click()
    expect(popup.locator("main")).to_contain_text("Access was declined")
    with popup.expect_event("close"):
        popup.get_by_role("button", name="Close this window").click()
    eventually(lambda: page.locator("#connect").is_enabled() and person.dialogs)
    (told,) = person.dialogs
    assert "Connect the account first" in told
    expect(page.locator("#status")).to_have_text("not connected")
    assert (
        world.product.api("GET", "/v1/connections", params={"user_id": "declines"})["connections"]
        == []
    )


def test_the_page_of_a_declined_consent_closes_by_itself(world: World, person: Visit) -> None:
    person.context.clock.install()
    page = world.client(person, "notion", "walks-away")
    popup = connect(page)
    popup.get_by_role("button", name="Deny").click()
    expect(popup.locator("main")).to_contain_text("Access was declined")
    with popup.expect_event("close"):
        popup.clock.fast_forward(13_000)
    eventually(lambda: page.locator("#connect").is_enabled() and person.dialogs)


def test_a_blocked_popup_ends_in_words_and_connecting_again_works(
    world: World, person: Visit
) -> None:
    account = world.product.account("hubspot", TINY["hubspot"], name="Blocked")
    person.context.add_init_script("window.reallyOpen = window.open; window.open = () => null;")
    page = world.client(person, "hubspot", "blocked")
    page.click("#connect")
    eventually(lambda: page.locator("#connect").is_enabled() and person.dialogs)
    assert "Connect the account first" in person.dialogs[0]
    page.evaluate("() => { window.open = window.reallyOpen; }")
    allow(connect(page), account)
    expect(page.locator("#status")).to_have_text("HubSpot Connected")


def test_a_client_that_takes_the_popup_for_closed_too_early_is_still_connected(
    world: World, person: Visit
) -> None:
    account = world.product.account("airtable", TINY["airtable"], name="Early")
    person.context.add_init_script(
        "const open = window.open; window.open = (...given) => { open.apply(window, given); "
        "return {closed: true}; };"
    )
    page = world.client(person, "airtable", "early")
    with page.expect_request("**/credentials"):
        popup = connect(page)
    allow(popup, account)
    expect(page.locator("#status")).to_have_text("Airtable Connected")
    assert person.dialogs == []


def test_flows_that_run_at_once_do_not_disturb_each_other(world: World, person: Visit) -> None:
    product = world.product
    orders = [("hubspot", "both"), ("airtable", "both"), ("hubspot", "other")]
    accounts = [
        product.account(slug, TINY[slug], name=f"{slug} of {user}") for slug, user in orders
    ]
    pages = [world.client(person, slug, user) for slug, user in orders]
    popups = [connect(page) for page in pages]
    for popup, account in zip(reversed(popups), reversed(accounts), strict=True):
        allow(popup, account)
    for page, (slug, _) in zip(pages, orders, strict=True):
        expect(page.locator("#status")).to_have_text(f"{NAMES[slug]} Connected")
    for (slug, user), account in zip(orders, accounts, strict=True):
        params = {"user_id": user, "provider": slug}
        (found,) = product.api("GET", "/v1/connections", params=params)["connections"]
        resource = next(iter(TINY[slug]))
        eventually(
            lambda id_=found["id"], n=TINY[slug][resource]: len(list(product.items(id_))) == n,
        )
        assert {item["id"] for item in product.items(found["id"])} == set(
            product.ledger(slug, account, resource)
        )
    assert person.complaints == []


def test_the_popup_of_one_browser_cannot_be_finished_in_another(
    world: World, person: Visit
) -> None:
    page = world.client(person, "hubspot", "robbed")
    popup = connect(page)
    with visit(world.browser) as thief:
        stolen = thief.page(popup.url)
        stolen.get_by_role("button", name="Allow").click()
        expect(stolen.locator("main")).to_contain_text("started in another browser")
    assert (
        world.product.api("GET", "/v1/connections", params={"user_id": "robbed"})["connections"]
        == []
    )


def test_a_page_of_an_origin_that_is_not_allowed_can_do_nothing(
    world: World, person: Visit
) -> None:
    page = world.client(person, "hubspot", "stranger", host="127.0.0.1")
    with page.expect_event("requestfailed"):
        page.click("#connect")
    eventually(lambda: page.locator("#connect").is_enabled() and person.dialogs)
    assert len(person.context.pages) == 1
    assert any("blocked by CORS policy" in complaint for complaint in person.complaints)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost.evil.example"])
def test_a_foreign_origin_is_refused_in_words_it_cannot_read(world: World, origin: str) -> None:
    form = {"user_id": "stranger", "org_id": "TestOrg"}
    for route in ("authorize", "credentials", "load"):
        answer = world.product.http.post(
            f"{world.product.url}/integrations/hubspot/{route}",
            data=form,
            headers={"origin": origin},
        )
        assert answer.status_code == 403
        assert isinstance(answer.json()["detail"], str)
        assert "access-control-allow-origin" not in answer.headers
