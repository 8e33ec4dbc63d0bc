"""Axe finds nothing on the documentation pages, in both themes, with everything opened."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.browser import chromium, needs_chromium, visit
from tests.strangers.tools import NODE_MODULES, needs_node_tools
from tests.support.product import Product, product
from tests.support.variations import variations

pytestmark = [pytest.mark.browser, needs_chromium, needs_node_tools]
PAGES = {"/docs": "REST API", "/events": "Events"}
AXE = NODE_MODULES / "axe-core/axe.min.js"
FINDINGS = (
    "axe.run().then(found => found.violations.map(one => `${one.id}: ${one.nodes.map(node "
    "=> node.html)}`))"
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with product(tmp_path_factory.mktemp("accessible")) as one:
        yield one


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as one:
        yield one


@pytest.mark.parametrize(
    ("path", "theme"),
    [
        *(("/docs", "Light"), ("/events", "Dark")),
        *variations(("/docs", "Dark"), ("/events", "Light")),
    ],
)
def test_axe_finds_nothing_on_a_page_of_documentation(
    running: Product, browser: Browser, path: str, theme: str
) -> None:
    with visit(browser) as one:
        page = one.page(running.url + path)
        page.get_by_role("button", name=theme).click()
        expect(page.locator(f"html[data-theme={theme.lower()}]")).to_have_count(1)
        expect(page.get_by_role("heading", level=1)).to_have_text(PAGES[path])
        expect(page.get_by_role("banner").get_by_role("link", name="Tributary")).to_be_visible()
        page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true; })")
        page.evaluate(AXE.read_text())
        assert page.evaluate(FINDINGS) == []
        assert one.complaints == []


def test_axe_finds_a_fault(running: Product, browser: Browser) -> None:
    with visit(browser) as one:
        page = one.page(running.url + "/docs")
        page.locator("h1").evaluate("one => { one.style.color = 'var(--line)'; }")
        page.evaluate(AXE.read_text())
        assert any(found.startswith("color-contrast") for found in page.evaluate(FINDINGS))


@pytest.mark.parametrize("path", PAGES)
def test_a_chosen_theme_is_that_of_the_page_when_it_comes_again(
    running: Product, browser: Browser, path: str
) -> None:
    with visit(browser) as one:
        page = one.page(running.url + path)
        page.get_by_role("button", name="Dark").click()
        page.reload()
        expect(page.locator("html[data-theme=dark]")).to_have_count(1)
        expect(page.get_by_role("button", name="Dark")).to_have_attribute("aria-pressed", "true")
