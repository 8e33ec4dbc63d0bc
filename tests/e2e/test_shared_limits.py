"""Connections that share what a provider meters share its limit, and are refused nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.client import ENDED, Client
from tests.support.processes import clean
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


@contextmanager
def organisation(one: Product, org: str) -> Iterator[Client]:
    """Yield a client that acts for an organisation of its own."""
    made = subprocess.run(
        [
            sys.executable,
            "-m",
            "services.gateway",
            "keys",
            "create",
            "--org",
            org,
            "--scope",
            "write",
        ],
        cwd=one.folder,
        env=clean(os.environ) | one.settings,
        capture_output=True,
        text=True,
        check=True,
    )
    client = Client(url=one.url, sandbox=one.sandbox, bootstrap=one.bootstrap)
    (key,) = re.findall(r"trb_\w+", made.stdout)
    client.http.headers["authorization"] = f"Bearer {key}"
    with client.http:
        yield client


def items_read(client: Client, sync: str) -> int:
    told = client.api("GET", f"/v1/syncs/{sync}")
    return sum(row["items"] for row in told["resources"])


def loaded_side_by_side(
    clients: tuple[Client, Client], provider: str, accounts: tuple[str, str], orgs: tuple[str, str]
) -> tuple[float, list[dict[str, Any]]]:
    """Return the first one's part of what was read when one was done, and all that was asked."""
    clients[0].control("DELETE", f"{provider}/requests")
    connected = [
        client.connect(provider, account=account, org=org)
        for client, account, org in zip(clients, accounts, orgs, strict=True)
    ]
    syncs = [one["sync_id"] for one in connected]

    def one_has_ended() -> list[int] | None:
        states = [
            client.api("GET", f"/v1/syncs/{sync}")["state"]
            for client, sync in zip(clients, syncs, strict=True)
        ]
        if not ENDED.intersection(states):
            return None
        return [items_read(client, sync) for client, sync in zip(clients, syncs, strict=True)]

    first, second = eventually(one_has_ended, every=0.1)
    for client, sync in zip(clients, syncs, strict=True):
        assert client.synced(sync)["state"] == "done"
    for client, account, one in zip(clients, accounts, connected, strict=True):
        assert client.differences(provider, account, one["id"]) == {}
    asked = clients[0].control("GET", f"{provider}/requests")["items"]
    return first / (first + second), asked


def test_two_organisations_of_a_hubspot_portal_get_equal_parts_and_no_refusal(
    running: Product,
) -> None:
    account = running.account("hubspot", LOADS["hubspot"], name="Shared portal")
    with organisation(running, "north") as north, organisation(running, "south") as south:
        part, asked = loaded_side_by_side(
            (north, south), "hubspot", (account, account), ("north", "south")
        )
        assert [one for one in asked if one["status"] == 429] == []
        assert 0.4 <= part <= 0.6
        assert "north" not in south.http.get(f"{running.url}/v1/syncs").text


def test_two_users_of_an_airtable_base_get_equal_parts_and_no_refusal(running: Product) -> None:
    first = running.account("airtable", LOADS["airtable"], name="One of two")
    second = running.account("airtable", {}, name="The other", same_data_as=first)
    clients = (running, running)
    part, asked = loaded_side_by_side(clients, "airtable", (first, second), ("demo", "demo"))
    assert [one for one in asked if one["status"] == 429] == []
    assert 0.4 <= part <= 0.6


def test_two_people_of_a_notion_workspace_are_refused_nothing(running: Product) -> None:
    first = running.account("notion", LOADS["notion"], name="Workspace")
    second = running.account("notion", {}, name="Another person", same_data_as=first)
    clients = (running, running)
    _, asked = loaded_side_by_side(clients, "notion", (first, second), ("demo", "demo"))
    assert [one for one in asked if one["status"] == 429] == []
    assert {one["account"] for one in asked if one["account"]} == {first, second}
