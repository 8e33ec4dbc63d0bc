"""One part of an account is refused: all else is read and deleted as it should, and it is named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

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
    again = one.api("POST", f"/v1/connections/{connection['id']}/syncs", json={})
    assert one.synced(again["id"])["state"] == "done"
    assert one.differences(provider, account, connection["id"]) == {}

    one.control("PUT", f"{provider}/faults", json=[fault])
    held = {item["id"] for item in one.items(connection["id"], resource)}
    elsewhere = held - _of(one, provider, account, resource, part)
    gone = sorted(elsewhere)[:2]
    change = {"resource": resource, "archive": gone}
    one.control("POST", f"{provider}/accounts/{account}/mutate", json=change)
    again = one.api("POST", f"/v1/connections/{connection['id']}/syncs", json={})
    told = _resource(one.synced(again["id"]), resource)
    assert (told["state"], told["receipt"]["deleted"]) == ("incomplete", 2)
    assert {item["id"] for item in one.items(connection["id"], resource)} == held - set(gone)
    one.control("PUT", f"{provider}/faults", json=[])


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
