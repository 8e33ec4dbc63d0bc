"""Take pictures of the console: ``python -m tests.screenshots [folder]``.

The default folder is ``docs/images``. This starts the product on free ports, brings it into each
state through the sandbox's control API, and looks at it in Debian's chromium: nothing loaded yet,
loading, partly failed, full; light, dark, and on a phone.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.client import RESOURCES
from tests.support.processes import ROOT
from tests.support.product import Product, product

DESK = {"width": 1280, "height": 860}
PHONE = {"width": 375, "height": 812}
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--hide-scrollbars",
]
LISTED = "/crm/objects/2026-03"
SLOW_MS = 450.0
WAIT_S = 20
DENIED = {
    "status": "error",
    "category": "MISSING_SCOPES",
    "message": "This app hasn't been granted all required scopes to make this call.",
    "errors": [{"context": {"requiredGranularScopes": ["crm.objects.deals.read"]}}],
}


def main() -> int:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.stderr.write("chromium is not installed: apt-get install chromium\n")
        return 2
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as made,
        product(Path(made)) as running,
        sync_playwright() as driver,
    ):
        browser = driver.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        with opened(browser, running) as page:
            for name in ("empty", "loading", "partial", "full"):
                STATES[name](running, page)
                take(page, folder, name)
            look_closer(page, folder)
        browser.close()
    for picture in sorted(folder.glob("console-*.png")):
        sys.stdout.write(f"{picture.name}\n")
    return 0


@contextmanager
def opened(browser: Browser, running: Product) -> Iterator[Page]:
    context = browser.new_context(color_scheme="light", reduced_motion="no-preference")
    page = context.new_page()
    page.goto(running.url)
    yield page
    context.close()


def take(page: Page, folder: Path, name: str) -> None:
    """Return the state as pictures: light and dark, and on a phone in light."""
    page.evaluate("scrollTo(0, 0)")
    page.mouse.move(0, 0)
    for look, size, scheme in (
        ("light", DESK, "light"),
        ("dark", DESK, "dark"),
        ("phone", PHONE, "light"),
    ):
        page.set_viewport_size(size)  # type: ignore[arg-type]  # a dict of the shape it asks for
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # as above
        page.wait_for_timeout(350)
        page.screenshot(path=folder / f"console-{name}-{look}.png")
    page.set_viewport_size(DESK)  # type: ignore[arg-type]  # as above
    page.emulate_media(color_scheme="light")


def look_closer(page: Page, folder: Path) -> None:
    """Take one item in the drawer, found by a search."""
    page.get_by_role("searchbox").press_sequentially("harbor")
    page.wait_for_url("**q=harbor*")
    page.locator("tbody th a").first.click()
    page.locator("dialog pre").wait_for()
    page.wait_for_timeout(250)
    page.screenshot(path=folder / "console-item-light.png")


def empty(_: Product, page: Page) -> None:
    page.get_by_text("Nothing has flowed in yet").wait_for()


def loading(running: Product, page: Page) -> None:
    """Start every account's load, with one resource told to wait."""
    for slug in RESOURCES:
        running.control("PUT", f"{slug}/limits", json={"latency_ms": SLOW_MS})
    later: dict[str, Any] = {
        "match": {"path": f"{LISTED}/contacts*"},
        "status": 429,
        "headers": {"Retry-After": str(WAIT_S)},
        "body": {
            "status": "error",
            "errorType": "RATE_LIMIT",
            "policyName": "TEN_SECONDLY_ROLLING",
        },
        "times": 1,
    }
    for slug in RESOURCES:
        connect(page, slug)
    time.sleep(3)
    running.control("PUT", "hubspot/faults", json=[later])
    page.get_by_text("Waiting until").first.wait_for()
    time.sleep(1)


def connect(page: Page, slug: str) -> None:
    """Connect as a person does: the click, the popup, the consent."""
    card = page.locator(f"#card-{slug}")
    with page.expect_popup() as opening:
        card.locator("form.join button").click()
    opening.value.get_by_role("button", name="Allow").click()
    card.locator(".who").wait_for()


def partial(running: Product, page: Page) -> None:
    """Sync again where one resource may no longer be listed."""
    settled(running, page)
    denied = {"match": {"path": f"{LISTED}/deals*"}, "status": 403, "body": DENIED}
    running.control("PUT", "hubspot/faults", json=[denied])
    synced_again(running, page)
    page.get_by_text("Partly synced").first.wait_for()


def full(running: Product, page: Page) -> None:
    running.control("PUT", "hubspot/faults", json=[])
    synced_again(running, page)


def synced_again(running: Product, page: Page) -> None:
    page.locator("#card-hubspot").get_by_role("button", name="Sync now").click()
    page.locator("#card-hubspot [data-stream]").wait_for()
    settled(running, page)


def settled(running: Product, page: Page) -> None:
    for slug in RESOURCES:
        running.control("PUT", f"{slug}/limits", json={"off": True, "latency_ms": 0})
    page.locator("[data-stream]").first.wait_for(state="detached", timeout=120_000)
    page.locator(".cards:not([data-live=yes])").wait_for(timeout=120_000)
    page.wait_for_timeout(1_200)


STATES = {"empty": empty, "loading": loading, "partial": partial, "full": full}

if __name__ == "__main__":
    sys.exit(main())
