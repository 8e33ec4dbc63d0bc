"""The pages of a consent say nothing that an embedder's customer cannot use."""

from __future__ import annotations

import re

from services.gateway.console.files import FOLDER
from services.gateway.http.pages import STYLE, close_window, explain


def test_a_declined_consent_is_no_error_and_leads_to_no_console() -> None:
    page = explain(400, "Access was declined.", popup=True, declined=True).content.decode()
    assert "<h1>Not connected</h1>" in page
    assert "400" not in page
    assert "onsole" not in page


def test_the_connected_page_names_the_account_and_leads_to_no_console() -> None:
    page = close_window("Notion", "Plums <& Co>").content
    assert "<h1>Connected: Notion, <bdi>Plums &lt;&amp; Co&gt;</bdi></h1>" in page
    assert "onsole" not in page


def test_the_pages_have_the_colours_of_the_console() -> None:
    colours = set(re.findall(r"#[0-9a-f]{3,6}\b", STYLE))
    assert len(colours) > 10
    assert colours <= set(re.findall(r"#[0-9a-f]{3,6}\b", (FOLDER / "console.css").read_text()))


def test_another_failure_keeps_its_status_and_its_way_back() -> None:
    page = explain(400, "It is too old.", back="/?a=1&b=2", popup=True).content.decode()
    assert "400 Bad Request" in page
    assert 'href="/?a=1&amp;b=2"' in page
