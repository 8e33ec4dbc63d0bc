"""The console as people use it, in a real browser."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect

from services.gateway.console.tests.browsing import (
    CHROMIUM,
    Person,
    at_the_browser,
    running_console,
)
from services.gateway.tests.serving import Gateway
from shared.contracts.connections import Connection

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None, reason="chromium is not installed: apt-get install chromium"
    ),
]
COMPANIES = [
    {"id": f"{n:03}", "name": f"Company {n:03}", "url": f"https://crm.example/{n}"}
    for n in range(60)
]


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with running_console(tmp_path) as gateway:
        yield gateway


@pytest.fixture
async def person(gateway: Gateway) -> AsyncIterator[Person]:
    async with at_the_browser(gateway) as person:
        yield person
        assert person.troubles == []


async def connected(
    person: Person, provider: str = "hubspot", name: str = "HubSpot"
) -> tuple[str, Connection]:
    """Connect in the popup; return the new sync's id and the connection."""
    await person.connect(name)
    await expect(person.page.locator(f"#card-{provider} .who")).to_contain_text("Rivermouth")
    known = person.gateway.auth.connections
    return str(known[max(known)].sync_id), known[max(known)]


async def test_connect_watch_search_look_and_disconnect(person: Person) -> None:
    page, gateway = person.page, person.gateway
    await person.open()
    sync, connection = await connected(person)
    card = page.locator("#card-hubspot")
    assert len(person.context.pages) == 1, "the popup closed itself"
    await expect(card.get_by_text("Queued")).to_have_count(3)

    await gateway.progress(
        sync, connection, "companies", step=1, state="running", items=20, expected=60
    )
    bar = card.get_by_role("progressbar", name="HubSpot, Companies")
    await expect(bar).to_have_attribute("value", "20")
    waiting = {
        "waiting_reason": "The provider asked us to slow down.",
        "waiting_until": "2099-01-01T12:03:08Z",
    }
    await gateway.progress(
        sync, connection, "contacts", step=1, state="waiting", items=5, **waiting
    )
    await expect(
        card.get_by_text("The provider asked us to slow down. Waiting until")
    ).to_be_visible()

    await gateway.whole(connection, {"companies": COMPANIES})
    await expect(card.locator(".status").first).to_contain_text("Connected")
    await expect(card.locator(".figure strong")).to_have_text("60")
    assert (await gateway.http.get("/v1/connections")).json()["connections"][0]["items"] == 60
    await expect(page.locator("#items .pages")).to_contain_text("1\N{EN DASH}25 of 60")

    await search_and_look(person)
    drawer = page.get_by_role("dialog")
    await card.get_by_role("link", name="Disconnect").click()
    await expect(drawer).to_contain_text("deletes its 60 items")
    await drawer.get_by_role("button", name="Disconnect and delete items").click()
    await expect(card).to_contain_text("Not connected")
    await expect(page.locator("#items")).to_contain_text("Nothing has flowed in yet")
    assert (await gateway.http.get("/v1/items")).json()["items"] == []


async def search_and_look(person: Person) -> None:
    page, gateway = person.page, person.gateway
    await page.get_by_role("searchbox").press_sequentially("pany 04")
    await expect(page.locator("tbody tr")).to_have_count(10)
    await expect(page).to_have_url(f"{gateway.url}/?q=pany+04")
    row = page.get_by_role("link", name="Company 044")
    await row.press("Enter")
    drawer = page.get_by_role("dialog")
    await expect(drawer.locator("pre")).to_contain_text('"id": "044"')
    await expect(drawer.get_by_role("link", name="Open in HubSpot")).to_have_attribute(
        "href", "https://crm.example/44"
    )
    await page.keyboard.press("Escape")
    await expect(drawer).to_be_hidden()
    await expect(row).to_be_focused()
    await page.locator("tbody tr").nth(2).locator(".kind").click()
    await expect(drawer.locator("pre")).to_contain_text('"id": "042"')
    await drawer.get_by_role("button", name="Close").click()
    await expect(page.get_by_role("link", name="Company 042")).to_be_focused()


async def test_sync_paging_filters_and_hidden_items(person: Person) -> None:
    page, gateway = person.page, person.gateway
    await person.open()
    _, connection = await connected(person)
    await gateway.whole(
        connection, {"companies": COMPANIES, "deals": [{"id": "1", "name": "Renewal"}]}
    )
    card, pages = page.locator("#card-hubspot"), page.locator(".pages p")
    await expect(pages).to_have_text("1\N{EN DASH}25 of 61")
    for shown in ("26\N{EN DASH}50 of 61", "51\N{EN DASH}61 of 61"):
        await page.get_by_role("link", name="Next").click()
        await expect(pages).to_have_text(shown)
    await page.get_by_role("link", name="Previous").click()
    await expect(pages).to_have_text("26\N{EN DASH}50 of 61")
    await page.get_by_role("link", name="Deals").click()
    await expect(pages).to_have_text("1\N{EN DASH}1 of 1")
    await page.get_by_role("link", name="Hide items").click()
    await expect(page.locator("#items")).to_contain_text("Nothing was deleted")
    await page.get_by_role("link", name="Show the items again").click()
    await expect(pages).to_have_text("1\N{EN DASH}1 of 1")

    await card.get_by_role("button", name="Sync now").click()
    await expect(card.get_by_text("Queued")).to_have_count(3)
    newest = (await gateway.http.get("/v1/connections")).json()["connections"][0]["sync_id"]
    for resource in ("companies", "contacts"):
        await gateway.progress(newest, connection, resource, step=1, state="done", items=0)
    error = {
        "code": "missing_scope",
        "detail": "It may not be listed.",
        "scope": "crm.objects.deals.read",
    }
    await gateway.progress(newest, connection, "deals", step=1, state="failed", error=error)
    await expect(card).to_contain_text("Partly synced")
    await expect(card).to_contain_text("crm.objects.deals.read")
    await expect(card.get_by_role("button", name="Reconnect")).to_be_visible()


async def test_a_denied_and_a_closed_window_say_what_to_do_next(person: Person) -> None:
    page = person.page
    await person.open()
    await person.connect("Notion", "Deny")
    notice = page.get_by_role("alert")
    await expect(notice).to_contain_text("Notion was not connected. It was declined there.")
    for popup in person.context.pages[1:]:
        await popup.close()
    async with page.expect_popup() as opening:
        await notice.get_by_role("button", name="Try again").click()
    await (await opening.value).close()
    await expect(notice).to_contain_text("The window was closed before the account was connected.")
    await expect(notice.get_by_role("button", name="Try again")).to_be_visible()
    # the callback page of a denial is a 400, which the browser reports on its console
    person.troubles.clear()


async def test_a_consent_is_noticed_however_many_of_its_polls_fail(person: Person) -> None:
    page, failed = person.page, list[str]()

    async def answer(route: Route) -> None:
        failed.append(route.request.url)
        match len(failed):
            case 1:
                await route.abort()
            case 2:
                await route.fulfill(status=502, content_type="text/html", body="<h1>Bad</h1>")
            case 3 | 4 | 5:
                body = ("{", "{}", "null")[len(failed) - 3]
                await route.fulfill(status=200, content_type="application/json", body=body)
            case _:
                await route.continue_()

    await page.route("**/v1/connect/*", answer)
    await person.open()
    await person.connect("Notion", "Allow")
    await expect(page.locator("#card-notion .who")).to_contain_text("Rivermouth")
    assert len(failed) > 5
    # The browser itself reports what failed to come.
    person.troubles.clear()


async def test_a_server_that_is_away_is_said_in_words(person: Person) -> None:
    page = person.page
    await person.open()
    notice = page.get_by_role("alert")
    for body in (None, "<h1>Bad gateway</h1>", "{}"):
        await page.route("**/v1/connect", partial(away, body=body))
        async with page.expect_popup():
            await page.get_by_role("button", name="Connect Notion").click()
        await expect(notice).to_contain_text(
            "Notion was not connected. The console cannot reach its server. Check that"
        )
        await notice.get_by_role("button", name="Dismiss").click()
        await page.unroute("**/v1/connect")
    # The browser itself reports what failed to come.
    person.troubles.clear()


async def away(route: Route, *, body: str | None) -> None:
    """Answer as a network does whose server is gone, or the proxy before it."""
    if body is None:
        await route.abort()
    else:
        await route.fulfill(status=502, body=body)


async def test_T38_messages_of_other_windows_connect_nothing(person: Person) -> None:
    page = person.page
    await person.open()
    async with page.expect_popup() as opening:
        await page.get_by_role("button", name="Connect Notion").click()
    popup = await opening.value
    await popup.get_by_role("link", name="Allow").wait_for()
    (flow,) = person.gateway.auth.flows
    for window in (page, popup):
        target = "window" if window is page else "window.opener"
        await window.evaluate(
            f"id => {target}.postMessage("
            "{type: 'tributary:connect', flow_id: id, status: 'connected'}, '*')",
            flow,
        )
    await expect(page.locator("#card-notion")).to_contain_text("Not connected")
    await popup.get_by_role("link", name="Allow").click()
    await expect(page.locator("#card-notion .who")).to_contain_text("Rivermouth")


async def test_a_blocked_popup_goes_on_in_the_same_tab(person: Person) -> None:
    await person.page.add_init_script(
        "window.open = () => null"
    )  # the result in a browser that blocks popups
    await person.open()
    await person.page.get_by_role("button", name="Connect Airtable").click()
    await person.page.get_by_role("link", name="Allow").click()
    await expect(person.page.get_by_role("alert")).to_contain_text("Airtable is connected.")
    await expect(person.page.locator("#card-airtable .who")).to_contain_text("Rivermouth")
    await expect(person.page).to_have_url(f"{person.gateway.url}/")


async def test_everything_works_without_javascript(gateway: Gateway) -> None:
    async with at_the_browser(gateway, java_script_enabled=False) as person:
        page = person.page
        await person.open()
        await page.get_by_role("button", name="Connect Notion").click()
        await page.get_by_role("link", name="Allow").click()
        await expect(page.get_by_role("alert")).to_contain_text("Notion is connected.")
        await person.open()
        connection = next(iter(gateway.auth.connections.values()))
        await gateway.whole(
            connection, {"pages": [{"id": f"p{n:02}", "name": f"Page {n:02}"} for n in range(30)]}
        )
        await expect(page.locator("#card-notion .figure")).to_contain_text(
            "30 items"
        )  # the page refreshes by itself
        await search_and_turn_pages(page)
        await page.get_by_role("button", name="Dark").click()
        await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        await page.get_by_role("button", name="Sync now").click()
        await expect(page.get_by_text("Queued")).to_have_count(3)
        await page.get_by_role("link", name="Disconnect").click()
        await page.get_by_role("button", name="Disconnect and delete items").click()
        await expect(page.locator("#card-notion")).to_contain_text("Not connected")
        assert person.troubles == []


async def search_and_turn_pages(page: Page) -> None:
    await page.get_by_role("searchbox").fill("page 2")
    await page.get_by_role("searchbox").press("Enter")
    await expect(page.locator("tbody tr")).to_have_count(10)
    await page.get_by_role("link", name="Page 21").click()
    await expect(page.locator("pre")).to_contain_text('"p21"')
    await page.get_by_role("link", name="Back to all items").click()
    await page.get_by_role("link", name="Next").click()
    await expect(page.locator("tbody tr")).to_have_count(5)


async def test_T13_nasty_names_stay_text_in_a_browser_and_a_phone_shows_them(
    gateway: Gateway,
) -> None:
    names = [
        "<img src=x onerror=alert(1)>",
        "a\u202egnp.exe",
        "</script><script>alert(2)</script>",
        "x" * 10_000,
        "é" * 300,
    ]
    nasty = [
        {"id": f"r/{n}?#%", "name": name, "url": "javascript:alert(3)", "raw": {name: name}}
        for n, name in enumerate(names)
    ]
    connection = await gateway.connect("airtable", account=names[0])
    await gateway.whole(connection, {"records": nasty})
    phone: dict[str, Any] = {
        "viewport": {"width": 320, "height": 700},
        "has_touch": True,
        "color_scheme": "dark",
    }
    async with at_the_browser(gateway, **phone) as person:
        await person.open()
        links = person.page.locator("tbody th a")
        assert await links.all_text_contents() == names
        assert await person.width() == 320
        for link in await links.all():
            await link.click()
            await expect(person.page.get_by_role("dialog").locator("pre")).to_be_visible()
            assert await person.width() == 320
            assert await person.page.locator("a[href^=javascript]").count() == 0
            await person.page.get_by_role("button", name="Close").click()
        assert person.troubles == []
