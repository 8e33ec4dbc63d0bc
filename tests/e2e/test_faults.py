"""A provider is in trouble: the load waits, refreshes or reports failure, and loses nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.product import Product, product

pytestmark = pytest.mark.e2e

COUNTS = {"companies": 250, "contacts": 450, "deals": 150}
LIST = "/crm/objects/2026-03"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with product(tmp_path_factory.mktemp("faults")) as started:
        yield started


@pytest.fixture
def account(one: Product, request: pytest.FixtureRequest) -> Iterator[str]:
    one.unlimited("hubspot")
    one.control("DELETE", "hubspot/requests")
    yield one.account("hubspot", COUNTS, name=request.node.name)
    one.control("PUT", "hubspot/faults", json=[])


def resources(sync: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["resource"]: row for row in sync["resources"]}


def test_a_429_is_waited_for_as_told_and_nothing_is_asked_meanwhile(
    one: Product, account: str
) -> None:
    limited = {
        "status": 429,
        "headers": {"Retry-After": "3600"},
        "body": {"status": "error", "policyName": "X"},
    }
    fault = {"match": {"method": "GET", "path": f"{LIST}/contacts*"}, "times": 1, **limited}
    one.control("PUT", "hubspot/faults", json=[fault])
    connection = one.connect("hubspot", account=account)
    waiting = resources(one.all_waiting(connection["sync_id"]))["contacts"]
    assert "limit" in waiting["waiting_reason"].lower()
    assert waiting["waiting_until"]
    # Requests that were sent before the refusal have arrived once another provider's sync is done.
    meanwhile(one)
    asked = list_calls(one)
    one.clock.move(seconds=3_500)
    meanwhile(one)
    assert list_calls(one) == asked
    one.clock.move(seconds=100)
    assert one.synced(connection["sync_id"])["state"] == "done"
    assert one.differences("hubspot", account, connection["id"]) == {}
    assert len(list_calls(one)) > len(asked)


def meanwhile(one: Product) -> None:
    """Sync another provider's account, which takes the same fetcher longer than a late request."""
    other = one.connect("notion", account=one.default_account("notion"))
    assert one.synced(other["sync_id"])["state"] == "done"


def list_calls(one: Product) -> list[dict[str, Any]]:
    log = one.control("GET", "hubspot/requests")["items"]
    return [row for row in log if row["path"].startswith(LIST)]


def test_a_401_in_the_middle_is_one_refresh_and_the_same_page_again(
    one: Product, account: str
) -> None:
    fault = {
        "match": {"method": "GET", "path": f"{LIST}/contacts*"},
        "status": 401,
        "body": {"status": "error", "category": "EXPIRED_AUTHENTICATION", "message": "expired"},
        "times": 1,
    }
    one.control("PUT", "hubspot/faults", json=[fault])
    connection = one.connect("hubspot", account=account)
    assert one.synced(connection["sync_id"])["state"] == "done"
    assert one.differences("hubspot", account, connection["id"]) == {}
    tokens = [
        row
        for row in one.control("GET", "hubspot/requests")["items"]
        if row["path"].endswith("/token")
    ]
    assert len(tokens) == 2, "one exchange, one refresh"


def test_a_403_fails_its_resource_alone_and_names_the_missing_scope(
    one: Product, account: str
) -> None:
    scope = "crm.objects.deals.read"
    body = {
        "status": "error",
        "category": "MISSING_SCOPES",
        "message": "missing",
        "errors": [{"message": "missing", "context": {"requiredGranularScopes": [scope]}}],
    }
    one.control(
        "PUT",
        "hubspot/faults",
        json=[{"match": {"path": f"{LIST}/deals*"}, "status": 403, "body": body}],
    )
    connection = one.connect("hubspot", account=account)
    ended = one.synced(connection["sync_id"])
    assert ended["state"] == "incomplete"
    assert resources(ended)["deals"]["state"] == "failed"
    assert scope in resources(ended)["deals"]["error"]["detail"] + str(
        resources(ended)["deals"]["error"]
    )
    assert [resources(ended)[name]["state"] for name in ("companies", "contacts")] == [
        "done",
        "done",
    ]
    who = {"user_id": "demo", "org_id": "demo"}
    loaded = one.http.post(f"{one.url}/integrations/hubspot/load", data=who)
    assert loaded.status_code == 200
    assert loaded.headers["tributary-incomplete"] == "deals;state=failed"
    assert {row["type"] for row in loaded.json()} == {"company", "contact"}
    strict = one.http.post(f"{one.url}/integrations/hubspot/load?strict=true", data=who)
    assert strict.status_code == 502
    assert "deals" in strict.json()["detail"]


def test_server_errors_are_tried_again_until_they_pass(one: Product, account: str) -> None:
    fault = {"match": {"path": f"{LIST}/companies*"}, "status": 503, "body": "away", "times": 3}
    one.control("PUT", "hubspot/faults", json=[fault])
    connection = one.connect("hubspot", account=account)
    assert one.synced(connection["sync_id"])["state"] == "done"
    assert one.differences("hubspot", account, connection["id"]) == {}


def test_a_second_load_takes_in_changes_and_deletes_what_is_gone(
    one: Product, account: str
) -> None:
    connection = one.connect("hubspot", account=account)
    one.synced(connection["sync_id"])
    change = {"resource": "contacts", "create": 7, "update": 5, "archive": 9}
    one.control("POST", f"hubspot/accounts/{account}/mutate", json=change)
    asked = one.api(
        "POST", f"/v1/connections/{connection['id']}/syncs", json={"resources": ["contacts"]}
    )
    ended = one.synced(asked["id"])
    assert [row["resource"] for row in ended["resources"]] == ["contacts"]
    assert one.differences("hubspot", account, connection["id"]) == {}
    ledger = one.ledger("hubspot", account, "contacts")
    assert all(
        item["modified_at"] == ledger[item["id"]]["modified"]
        for item in one.items(connection["id"], "contacts")
    )


def test_an_expired_token_is_refreshed_before_the_next_load(one: Product, account: str) -> None:
    connection = one.connect("hubspot", account=account)
    one.synced(connection["sync_id"])
    one.control("POST", "clock", json={"advance_s": 3600})
    asked = one.api("POST", f"/v1/connections/{connection['id']}/syncs", json={})
    assert one.synced(asked["id"])["state"] == "done"
