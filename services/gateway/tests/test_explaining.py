"""The pages of a consent say nothing that an embedder's customer cannot use."""

from __future__ import annotations

from services.gateway.http.pages import close_window, explain


def test_a_declined_consent_is_no_error_and_leads_to_no_console() -> None:
    page = explain(400, "Access was declined.", popup=True, declined=True).content.decode()
    assert "<h1>Not connected</h1>" in page
    assert "400" not in page
    assert "onsole" not in page


def test_the_connected_page_leads_to_no_console() -> None:
    assert "onsole" not in close_window().content


def test_another_failure_keeps_its_status_and_its_way_back() -> None:
    page = explain(400, "It is too old.", back="/?a=1&b=2", popup=True).content.decode()
    assert "400 Bad Request" in page
    assert 'href="/?a=1&amp;b=2"' in page
