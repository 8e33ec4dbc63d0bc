"""kill -9 at any moment loses nothing that was acknowledged; a stop is quick and clean."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.client import ENDED
from tests.support.product import Product, product
from tests.support.variations import variations
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

COUNTS = {"companies": 1200, "contacts": 2600, "deals": 700}


def under_way(one: Product, sync: str) -> bool:
    """Return whether some pages have come and more are to come."""
    found = one.api("GET", f"/v1/syncs/{sync}")
    items = sum(resource["items"] for resource in found["resources"])
    assert found["state"] not in ENDED, "the load was over before it could be interrupted"
    return bool(items)


HELD = {"match": {"method": "GET", "path": "/crm/objects/*"}, "after": 6, "hold": True}
"""Six pages are served, the others wait: the load cannot be over before it is interrupted."""
TROUBLE = [
    {
        "match": {"method": "GET", "path": f"/crm/objects/2026-03/{resource}*"},
        "status": status,
        "headers": headers,
        "body": {"status": "error", "category": category},
        "times": times,
    }
    for resource, status, headers, category, times in (
        ("contacts", 429, {"Retry-After": "1"}, "RATE_LIMITS", 2),
        ("companies", 401, {}, "EXPIRED_AUTHENTICATION", 1),
    )
]


def test_a_load_goes_on_by_itself_after_kill_9_and_ends_equal_to_the_ledger(tmp_path: Path) -> None:
    """There are 429s and a 401 on the way, and two kills."""
    with product(tmp_path) as one:
        account = one.account("hubspot", COUNTS)
        one.unlimited("hubspot")
        one.control("PUT", "hubspot/faults", json=[*TROUBLE, HELD])
        connection = one.connect("hubspot", account=account)
        sync = connection["sync_id"]
        eventually(
            lambda: not any("times" in fault for fault in one.control("GET", "hubspot/faults")),
            every=0.02,
        )
        for _ in range(2):
            eventually(lambda: under_way(one, sync), every=0.02)
            one.kill()
            one.start()
            one.control("PUT", "hubspot/faults", json=[HELD])
            assert one.api("GET", f"/v1/connections/{connection['id']}")["status"] == "active"
        one.unlimited("hubspot")
        one.control("PUT", "hubspot/faults", json=[])
        ended = one.synced(sync)
        assert ended["state"] == "done"
        assert {row["resource"]: row["items"] for row in ended["resources"]} == COUNTS
        assert one.differences("hubspot", account, connection["id"]) == {}


def test_what_was_answered_survives_kill_9_in_the_same_moment(tmp_path: Path) -> None:
    with product(tmp_path) as one:
        account = one.account("notion", {"pages": 5, "users": 2})
        connection = one.connect("notion", account=account)
        one.kill()
        one.start()
        listed = one.api("GET", "/v1/connections", params={"org_id": "demo"})["connections"]
        assert [row["id"] for row in listed] == [connection["id"]]
        assert one.synced(connection["sync_id"])["state"] == "done"
        asked = one.api("POST", f"/v1/connections/{connection['id']}/syncs", json={})
        one.kill()
        one.start()
        assert one.synced(asked["id"])["state"] == "done"
        assert one.differences("notion", account, connection["id"]) == {}


@pytest.mark.parametrize("number", [signal.SIGTERM, *variations(signal.SIGINT)])
def test_a_stop_does_not_wait_for_the_load_which_goes_on_later(
    tmp_path: Path, number: signal.Signals
) -> None:
    with product(tmp_path) as one:
        account = one.account("hubspot", COUNTS)
        one.control("PUT", "hubspot/faults", json=[HELD])
        sync = one.connect("hubspot", account=account)["sync_id"]
        eventually(lambda: under_way(one, sync), every=0.02)
        one.stop(number)
        assert one.process is not None
        assert one.process.returncode == 0
        assert one.log.read_text().splitlines()[-1] == "Stopped."
        one.start()
        one.unlimited("hubspot")
        assert one.synced(sync)["state"] == "done"
