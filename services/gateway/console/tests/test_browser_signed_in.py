"""Signing in to the console, in a real browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from services.gateway.console.tests.browsing import (
    CHROMIUM,
    Person,
    at_the_browser,
    running_console,
)
from services.gateway.security.keys import create_key, revoke_key
from services.gateway.tests.locked import end_sessions
from services.gateway.tests.serving import Gateway
from shared.db import Database

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None, reason="chromium is not installed: apt-get install chromium"
    ),
]


@dataclass
class Place:
    gateway: Gateway
    database: Database

    async def key(self, scope: str = "write") -> str:
        return (await create_key(org="acme", scope=scope, database=self.database)).written.reveal()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with running_console(tmp_path, keys_required=True) as gateway:
        database = Database(gateway.settings.database)
        yield Place(gateway, database)
        await database.close()


@asynccontextmanager
async def person_at(place: Place, *, javascript: bool = True) -> AsyncIterator[Person]:
    async with at_the_browser(place.gateway, java_script_enabled=javascript) as person:
        yield person
        assert [one for one in person.troubles if "401 (Unauthorized)" not in one] == []


async def sign_in(person: Person, key: str) -> None:
    await person.page.get_by_label("API key").fill(key)
    await person.page.get_by_role("button", name="Sign in").click()


async def sync_and_look(page: Page) -> None:
    await page.get_by_role("button", name="Sync now HubSpot").click()
    await expect(page.locator("#card-hubspot").get_by_text("Queued")).to_have_count(3)
    await page.get_by_role("link", name="Plan B").click()
    await expect(page.locator("#drawer h1")).to_have_text("Plan B")
    await page.get_by_role("button", name="Close").click()


async def test_a_person_signs_in_connects_watches_and_signs_out(place: Place) -> None:
    async with person_at(place) as person:
        page = person.page
        await person.open("/?q=plan")
        await expect(page).to_have_title("Sign in · Tributary")
        await sign_in(person, "trb_wrong")
        await expect(page.get_by_role("alert")).to_contain_text("This key is not valid")
        await sign_in(person, await place.key())
        await expect(page).to_have_url(f"{place.gateway.url}/?q=plan")
        await person.connect("HubSpot")
        await expect(page.locator("#card-hubspot .who")).to_contain_text("Rivermouth")
        known = place.gateway.auth.connections
        made = known[max(known)]
        assert (made.org_id, made.user_id) == ("acme", "console")
        gateway, key = place.gateway, await place.key("read")
        gateway.http.headers["authorization"] = f"Bearer {key}"
        await gateway.progress(
            made.sync_id or "", made, "companies", step=1, state="running", items=20, expected=60
        )
        bar = page.locator("#card-hubspot").get_by_role("progressbar", name="HubSpot, Companies")
        await expect(bar).to_have_attribute("value", "20")
        await gateway.whole(made, {"companies": [{"id": "1", "name": "Plan B"}]})
        await expect(page.locator("#items tbody tr")).to_have_count(1)
        await sync_and_look(page)
        await page.get_by_role("button", name="Sign out").click()
        await expect(page).to_have_title("Sign in · Tributary")
        await person.open()
        await expect(page).to_have_title("Sign in · Tributary")


async def test_a_page_whose_session_ended_leads_to_the_sign_in_by_itself_and_back(
    place: Place,
) -> None:
    key = await place.key()
    async with person_at(place) as person:
        await person.open("/?provider=notion")
        await sign_in(person, key)
        await expect(person.page.locator("#card-notion")).to_be_visible()
        await revoke_key(key.split("_")[1], org=None, database=place.database)
        await person.page.get_by_label("Search items by name").evaluate(
            "document.dispatchEvent(new Event('visibilitychange'))"
        )
        await expect(person.page).to_have_title("Sign in · Tributary")
        await sign_in(person, await place.key())
        await expect(person.page).to_have_url(f"{place.gateway.url}/?provider=notion")


async def test_connecting_after_the_session_ended_leads_to_the_sign_in(place: Place) -> None:
    async with person_at(place) as person:
        await person.open()
        await sign_in(person, await place.key())
        button = person.page.get_by_role("button", name="Connect Notion")
        await expect(button).to_be_visible()
        await end_sessions(place.database)
        await button.click()
        await expect(person.page).to_have_title("Sign in · Tributary")
        await expect(person.page.get_by_label("API key")).to_be_focused()
        assert len(person.context.pages) == 1, "the window that was opened for the consent is gone"


async def test_signing_in_connecting_and_disconnecting_work_without_javascript(
    place: Place,
) -> None:
    async with person_at(place, javascript=False) as person:
        page = person.page
        await person.open()
        await sign_in(person, await place.key())
        await page.get_by_role("button", name="Connect Notion").click()
        await page.get_by_role("link", name="Allow").click()
        await expect(page.get_by_text("Notion is connected.")).to_be_visible()
        await page.get_by_role("link", name="Disconnect Notion").click()
        await page.get_by_role("button", name="Disconnect and delete items").click()
        await expect(page.get_by_role("button", name="Connect Notion")).to_be_visible()
        await page.get_by_role("button", name="Sign out").click()
        await expect(page).to_have_title("Sign in · Tributary")
