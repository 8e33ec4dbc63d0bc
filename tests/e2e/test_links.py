"""The links of simulated records lead to the sandbox, and each opens the page of its record."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.product import Product, product

pytestmark = pytest.mark.e2e

COUNTS = {
    "hubspot": {"companies": 70, "contacts": 70, "deals": 60},
    "notion": {"pages": 60, "data_sources": 10, "users": 3},
    "airtable": {"bases": 3, "tables": 10, "records": 80},
}
UNLINKED = {"users"}
"""Resources whose records have no page of their own at the provider."""
LONGEST = 190


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with product(tmp_path_factory.mktemp("links")) as one:
        yield one


def items_of(running: Product, provider: str) -> list[dict[str, Any]]:
    account = running.account(provider, COUNTS[provider], name=f"Linked {provider}")
    running.unlimited(provider)
    connection = running.connect(provider, account=account)
    running.synced(connection["sync_id"])
    return list(running.items(connection["id"]))


def one_line(text: str) -> str:
    return " ".join(text.split())


def headings(page: str) -> list[str]:
    return [one_line(html.unescape(found)) for found in re.findall(r"<h1>(.*?)</h1>", page)]


@pytest.mark.parametrize("provider", sorted(COUNTS))
def test_every_link_opens_the_sandbox_page_of_its_record(running: Product, provider: str) -> None:
    items = items_of(running, provider)
    assert {item["resource"] for item in items} == set(COUNTS[provider])
    unlinked = {item["resource"] for item in items if item["url"] is None}
    assert unlinked == UNLINKED & set(COUNTS[provider])
    for item in items:
        if item["url"] is None:
            continue
        assert item["url"].startswith(f"{running.sandbox}/{provider}/"), item["url"]
        answer = running.http.get(item["url"])
        assert answer.status_code == 200, item["url"]
        assert "Simulated" in answer.text
        shown = [heading[:LONGEST] for heading in headings(answer.text)]
        assert one_line(item["name"])[:LONGEST] in shown, item["url"]


@pytest.mark.parametrize("provider", sorted(COUNTS))
def test_the_page_of_a_deleted_record_says_that_it_is_gone(running: Product, provider: str) -> None:
    account = running.account(provider, COUNTS[provider], name=f"Deleted {provider}", seed=6)
    running.unlimited(provider)
    connection = running.connect(provider, account=account)
    running.synced(connection["sync_id"])
    item = next(one for one in running.items(connection["id"]) if one["parent_id"] is None)
    change = {"resource": item["resource"], "archive": [item["id"]]}
    assert running.http.get(item["url"]).status_code == 200
    running.control("POST", f"{provider}/accounts/{account}/mutate", json=change)
    answer = running.http.get(item["url"])
    assert answer.status_code == 404
    assert "No such record" in answer.text


@pytest.mark.parametrize("provider", sorted(COUNTS))
def test_the_page_carries_no_script_and_no_secret(running: Product, provider: str) -> None:
    item = next(one for one in items_of(running, provider) if one["url"])
    answer = running.http.get(item["url"])
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "script-src" not in answer.headers["content-security-policy"]
    assert urlsplit(item["url"]).query == ""
