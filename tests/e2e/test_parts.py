"""One part of an account is refused: all else is read and deleted as it should, and it is named."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.e2e.topics import ITEMS, records
from tests.support.product import Product, product

pytestmark = pytest.mark.e2e

CLOSED = {"error": {"type": "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND", "message": "Not allowed"}}
UNSUPPORTED = {
    "object": "error",
    "status": 400,
    "code": "validation_error",
    "message": "Databases with linked data sources are not supported in this API version.",
}
COUNTS: dict[str, dict[str, int]] = {
    "airtable": {"bases": 3, "tables": 5, "records": 60},
    "notion": {"pages": 60, "data_sources": 3, "users": 3},
}


class Refusal(NamedTuple):
    """A part that is refused, among the ids of the resource that has it."""

    provider: str
    of: str
    path: str
    status: int
    body: Any
    resource: str


CASES = {
    "a base": Refusal("airtable", "bases", "/v0/meta/bases/{}/tables", 403, CLOSED, "records"),
    "a table": Refusal("airtable", "tables", "/v0/{}", 403, CLOSED, "records"),
    "a table, 422": Refusal("airtable", "tables", "/v0/{}", 422, {"error": "X"}, "records"),
    "a data source": Refusal(
        "notion", "data_sources", "/v1/data_sources/{}/query", 400, UNSUPPORTED, "pages"
    ),
}


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with product(tmp_path_factory.mktemp("parts")) as started:
        yield started


@pytest.mark.parametrize("case", CASES)
def test_one_part_that_is_refused_leaves_all_others_right_and_is_named(
    one: Product, case: str
) -> None:
    provider, of, path, status, body, resource = CASES[case]
    one.unlimited(provider)
    account = one.account(provider, COUNTS[provider], name=case)
    part = min(one.ledger(provider, account, of))
    fault = {"match": {"path": path.format(part)}, "status": status, "body": body}
    one.control("PUT", f"{provider}/faults", json=[fault])
    connection = one.connect(provider, account=account)

    told = _resource(one.synced(connection["sync_id"]), resource)
    assert told["state"] == "incomplete"
    (named,) = told["receipt"]["parts"]["named"]
    assert (named["part"], named["outcome"]) == (part, "failed")
    assert named["name"][1:] in told["error"]["detail"]
    assert named["remedy"]
    assert _missing(one, provider, account, connection["id"], resource) <= _of(
        one, provider, account, resource, part
    )

    one.control("PUT", f"{provider}/faults", json=[])
    assert _again(one, connection["id"], resource)["state"] == "done"
    assert one.differences(provider, account, connection["id"]) == {}

    one.control("PUT", f"{provider}/faults", json=[fault])
    held = {item["id"] for item in one.items(connection["id"], resource)}
    gone = sorted(held - _of(one, provider, account, resource, part))[:2]
    archive(one, provider, account, resource, gone)
    told = _again(one, connection["id"], resource)
    assert (told["state"], told["receipt"]["deleted"]) == ("incomplete", 2)
    assert {item["id"] for item in one.items(connection["id"], resource)} == held - set(gone)
    one.control("PUT", f"{provider}/faults", json=[])


def archive(one: Product, provider: str, account: str, resource: str, ids: list[str]) -> None:
    change = {"resource": resource, "archive": ids}
    one.control("POST", f"{provider}/accounts/{account}/mutate", json=change)


def _again(one: Product, connection: str, resource: str) -> dict[str, Any]:
    """Sync once more to the end, and return what became of the resource."""
    again = one.api("POST", f"/v1/connections/{connection}/syncs", json={})
    return _resource(one.synced(again["id"]), resource)


def _resource(sync: dict[str, Any], resource: str) -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in sync["resources"] if row["resource"] == resource)
    return found


def _missing(one: Product, provider: str, account: str, connection: str, resource: str) -> set[str]:
    ours = {item["id"] for item in one.items(connection, resource)}
    return set(one.ledger(provider, account, resource)) - ours


def _of(one: Product, provider: str, account: str, resource: str, part: str) -> set[str]:
    """Return the ids that belong to the part, by the provider's own truth."""
    rows = one.ledger(provider, account, resource)
    return {id_ for id_, row in rows.items() if id_.startswith(part) or part in str(row)}


def test_contacts_that_are_merged_go_with_the_name_of_the_one_they_went_into(
    one: Product,
) -> None:
    one.unlimited("hubspot")
    account = one.account("hubspot", {"companies": 0, "contacts": 30, "deals": 0})
    connection = one.connect("hubspot", account=account)
    assert one.synced(connection["sync_id"])["state"] == "done"
    ids = sorted(one.ledger("hubspot", account, "contacts"))[:2]
    change = {"resource": "contacts", "merge": ids}
    made = one.control("POST", f"hubspot/accounts/{account}/mutate", json=change)
    told = _again(one, connection["id"], "contacts")
    assert (told["state"], told["receipt"]["emitted"], told["receipt"]["deleted"]) == ("done", 1, 2)
    assert one.differences("hubspot", account, connection["id"]) == {}
    assert tombstones(one, connection["id"]) == {
        id_: {"reason": "merged", "merged_into": made["created"][0]} for id_ in ids
    }


def test_contacts_that_a_list_leaves_out_are_found_by_the_count_of_a_search_that_lags(
    one: Product,
) -> None:
    one.unlimited("hubspot")
    account = one.account("hubspot", {"companies": 0, "contacts": 120, "deals": 0}, name="Short")
    archived, *lost = sorted(one.ledger("hubspot", account, "contacts"))[::30]
    one.control("PUT", "hubspot/index", json={"lags": True})
    archive(one, "hubspot", account, "contacts", [archived])
    lists = {"method": "GET", "path": "/crm/objects/*/contacts"}
    one.control("PUT", "hubspot/faults", json=[{"match": lists, "leave_out": lost}])
    connection = one.connect("hubspot", account=account)
    waiting = _resource(one.all_waiting(connection["sync_id"]), "contacts")
    assert (waiting["items"], waiting["waiting_code"]) == (119 - len(lost), "count_settling")
    one.clock.move(seconds=11)
    told = _resource(one.synced(connection["sync_id"]), "contacts")
    one.control("PUT", "hubspot/faults", json=[])
    one.control("PUT", "hubspot/index", json={"lags": False})
    receipt = told["receipt"]
    assert (told["state"], receipt["reconciled"], receipt["ghosts"]) == ("done", True, 1)
    assert (receipt["counted_before"], receipt["counted_after"]) == (120, 120)
    assert one.differences("hubspot", account, connection["id"]) == {}


def tombstones(one: Product, connection: str) -> dict[str, dict[str, str]]:
    """Return id → the reason and the successor that the topic names for each deletion."""
    found = {}
    for record in asyncio.run(records(one, ITEMS)):
        owner, _, id_ = record.key.decode().split("/", 2)
        if record.value is None and owner == connection:
            headers = {name: value.decode() for name, value in record.headers}
            found[id_] = {name: headers[name] for name in ("reason", "merged_into")}
    return found


def test_what_notion_cuts_off_is_whole_in_the_item_and_is_not_asked_for_again(
    one: Product,
) -> None:
    one.unlimited("notion")
    account = one.account("notion", {"pages": 5, "data_sources": 1, "users": 1}, name="cut off")
    change = {"resource": "pages", "create": 1, "references": 40}
    (id_,) = one.control("POST", f"notion/accounts/{account}/mutate", json=change)["created"]
    connection = one.connect("notion", account=account)
    told = _resource(one.synced(connection["sync_id"]), "pages")
    assert (told["state"], told["receipt"]["truncated"]) == ("done", 0)
    (item,) = [one for one in one.items(connection["id"], "pages") if one["id"] == id_]
    related = item["raw"]["properties"]["Related"]
    assert (len(related["relation"]), related["has_more"], item["truncated"]) == (40, False, [])
    one.control("DELETE", "notion/requests")
    assert _again(one, connection["id"], "pages")["receipt"]["emitted"] == 0
    asked = [call["path"] for call in one.control("GET", "notion/requests")["items"]]
    assert asked
    assert [path for path in asked if "/properties/" in path] == []
