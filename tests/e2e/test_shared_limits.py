"""Connections that share what a provider meters share its limit, and are refused nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pytest

from tests.support.client import ENDED
from tests.support.product import Product, product
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

LOADS: Mapping[str, dict[str, int]] = {
    "hubspot": {"companies": 2_200, "contacts": 2_200, "deals": 2_200},
    "airtable": {"bases": 1, "tables": 1, "records": 2_500},
    "notion": {"pages": 1_500, "data_sources": 1, "users": 2},
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with product(tmp_path_factory.mktemp("shared")) as one:
        yield one


class Outcome(NamedTuple):
    """Hold the first one's part of what was read when one was done, and all that was asked."""

    part: float
    asked: list[dict[str, Any]]
    syncs: list[dict[str, Any]]


def items_read(one: Product, sync: str) -> int:
    told = one.api("GET", f"/v1/syncs/{sync}")
    return sum(row["items"] for row in told["resources"])


def loaded_side_by_side(
    one: Product, provider: str, accounts: Sequence[str], orgs: Sequence[str] = ("demo", "demo")
) -> Outcome:
    """Connect an account for each organisation, and load all of both."""
    one.control("DELETE", f"{provider}/requests")
    connected = [
        one.connect(provider, account=account, org=org)
        for account, org in zip(accounts, orgs, strict=True)
    ]
    syncs = [connection["sync_id"] for connection in connected]

    def one_has_ended() -> list[int] | None:
        states = {one.api("GET", f"/v1/syncs/{sync}")["state"] for sync in syncs}
        return [items_read(one, sync) for sync in syncs] if states & ENDED else None

    first, second = eventually(one_has_ended, every=0.1)
    ended = [one.synced(sync) for sync in syncs]
    assert [sync["state"] for sync in ended] == ["done", "done"]
    for account, connection in zip(accounts, connected, strict=True):
        assert one.differences(provider, account, connection["id"]) == {}
    asked = one.control("GET", f"{provider}/requests")["items"]
    return Outcome(first / (first + second), asked, ended)


def refused(outcome: Outcome) -> list[dict[str, Any]]:
    return [one for one in outcome.asked if one["status"] == 429]


def test_two_organisations_of_a_hubspot_portal_get_equal_parts_and_no_refusal(
    running: Product,
) -> None:
    account = running.account("hubspot", LOADS["hubspot"], name="Shared portal")
    outcome = loaded_side_by_side(running, "hubspot", (account, account), ("north", "south"))
    assert refused(outcome) == []
    assert 0.4 <= outcome.part <= 0.6
    assert ["south" in str(outcome.syncs[0]), "north" in str(outcome.syncs[1])] == [False, False]


def test_two_users_of_an_airtable_base_get_equal_parts_and_no_refusal(running: Product) -> None:
    first = running.account("airtable", LOADS["airtable"], name="One of two")
    second = running.account("airtable", {}, name="The other", same_data_as=first)
    outcome = loaded_side_by_side(running, "airtable", (first, second))
    assert refused(outcome) == []
    assert 0.4 <= outcome.part <= 0.6


def test_two_people_of_a_notion_workspace_are_refused_nothing(running: Product) -> None:
    first = running.account("notion", LOADS["notion"], name="Workspace")
    second = running.account("notion", {}, name="Another person", same_data_as=first)
    outcome = loaded_side_by_side(running, "notion", (first, second))
    assert refused(outcome) == []
    assert {one["account"] for one in outcome.asked if one["account"]} == {first, second}
