"""Load two connections that share what their provider meters, at the same time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from tests.support.client import ENDED, Client
from tests.support.waiting import eventually

LOADS: Final[Mapping[str, dict[str, int]]] = {
    "hubspot": {"companies": 2_200, "contacts": 2_200, "deals": 2_200},
    "airtable": {"bases": 1, "tables": 1, "records": 2_500},
    "notion": {"pages": 1_500, "data_sources": 1, "users": 2},
}


class Pair(NamedTuple):
    """Two consents: of which accounts of a provider, and for which organisations."""

    provider: str
    accounts: tuple[str, str]
    orgs: tuple[str, str]


class Outcome(NamedTuple):
    """Hold the first one's part of what was read when one was done, and all that was asked."""

    part: float
    asked: list[dict[str, Any]]
    syncs: list[dict[str, Any]]

    @property
    def refused(self) -> list[dict[str, Any]]:
        return [one for one in self.asked if one["status"] == 429]


def _portal(client: Client) -> Pair:
    account = client.account("hubspot", LOADS["hubspot"], name="Shared portal")
    return Pair("hubspot", (account, account), ("north", "south"))


def _base(client: Client) -> Pair:
    first = client.account("airtable", LOADS["airtable"], name="One of two")
    second = client.account("airtable", {}, name="The other", same_data_as=first)
    return Pair("airtable", (first, second), ("demo", "demo"))


def _workspace(client: Client) -> Pair:
    first = client.account("notion", LOADS["notion"], name="Workspace")
    second = client.account("notion", {}, name="Another person", same_data_as=first)
    return Pair("notion", (first, second), ("demo", "demo"))


PAIRS: Final[Mapping[str, Callable[[Client], Pair]]] = {
    "two organisations of a HubSpot portal": _portal,
    "two users of an Airtable base": _base,
    "two people of a Notion workspace": _workspace,
}
"""A pair in words → a function that makes its accounts."""


def loaded_side_by_side(client: Client, pair: Pair) -> Outcome:
    """Connect both, load all of both, and compare them with the provider."""
    provider, accounts, orgs = pair
    client.control("DELETE", f"{provider}/requests")
    connected = [
        client.connect(provider, account=account, org=org)
        for account, org in zip(accounts, orgs, strict=True)
    ]
    syncs = [connection["sync_id"] for connection in connected]

    def one_has_ended() -> list[int] | None:
        states = {client.api("GET", f"/v1/syncs/{sync}")["state"] for sync in syncs}
        return [_items_read(client, sync) for sync in syncs] if states & ENDED else None

    first, second = eventually(one_has_ended, every=0.1)
    ended = [client.synced(sync) for sync in syncs]
    assert [sync["state"] for sync in ended] == ["done", "done"]
    for account, connection in zip(accounts, connected, strict=True):
        assert client.differences(provider, account, connection["id"]) == {}
    asked = client.control("GET", f"{provider}/requests")["items"]
    return Outcome(first / (first + second), asked, ended)


def _items_read(client: Client, sync: str) -> int:
    told = client.api("GET", f"/v1/syncs/{sync}")
    return sum(row["items"] for row in told["resources"])
