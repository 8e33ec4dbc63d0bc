"""Move the whole product by an hour, a day or two months: what is due happens at once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from shared.contracts.topics import JOBS
from tests.e2e.topics import ITEMS, records
from tests.support.processes import clean
from tests.support.product import Product, product
from tests.support.waiting import PATIENCE_S, eventually, until

pytestmark = pytest.mark.e2e

COUNTS = {"companies": 20, "contacts": 30, "deals": 10}
LIST = "/crm/objects/2026-03"
LIMITED = {
    "status": 429,
    "headers": {"Retry-After": "3600"},
    "body": {"status": "error", "policyName": "X"},
}


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with product(tmp_path_factory.mktemp("clock")) as started:
        yield started


@pytest.fixture
def account(one: Product, request: pytest.FixtureRequest) -> Iterator[str]:
    one.unlimited("hubspot")
    one.control("DELETE", "hubspot/requests")
    yield one.account("hubspot", COUNTS, name=request.node.name)
    one.control("PUT", "hubspot/faults", json=[])


def token_requests(one: Product, provider: str) -> int:
    """Return how many times the provider was asked for tokens since its request log was emptied."""
    log = one.control("GET", f"{provider}/requests")["items"]
    return sum(row["path"].endswith("/token") for row in log)


def seconds_between(before: str, after: str) -> float:
    return (datetime.fromisoformat(after) - datetime.fromisoformat(before)).total_seconds()


def test_a_job_that_waits_for_an_hour_goes_on_when_the_hour_is_over(
    one: Product, account: str
) -> None:
    fault = {"match": {"method": "GET", "path": f"{LIST}/contacts*"}, "times": 1, **LIMITED}
    one.control("PUT", "hubspot/faults", json=[fault])
    connection = one.connect("hubspot", account=account)
    rows = one.all_waiting(connection["sync_id"])["resources"]
    waiting = next(row for row in rows if row["resource"] == "contacts")
    assert "limit" in waiting["waiting_reason"].lower()
    one.clock.move(hours=1)
    assert one.synced(connection["sync_id"])["state"] == "done"
    assert one.differences("hubspot", account, connection["id"]) == {}
    log = one.control("GET", "hubspot/requests")["items"]
    # The count is asked for beside the first page, before anybody knows that it is refused.
    pages = [row for row in log if row["method"] == "GET"]
    calls = [row for row in pages if row["path"].startswith(f"{LIST}/contacts")]
    refused = next(at for at, row in enumerate(calls) if row["status"] == 429)
    after = [seconds_between(calls[refused]["at"], row["at"]) for row in calls[refused + 1 :]]
    assert after
    assert min(after) >= 3_600


def test_an_access_token_is_old_after_a_day_and_is_refreshed_for_the_next_sync(
    one: Product, account: str
) -> None:
    connection = one.connect("hubspot", account=account)
    assert one.synced(connection["sync_id"])["state"] == "done"
    assert token_requests(one, "hubspot") == 1
    one.clock.move(days=1)
    asked = one.api("POST", f"/v1/connections/{connection['id']}/syncs", json={})
    assert one.synced(asked["id"])["state"] == "done"
    log = one.control("GET", "hubspot/requests")["items"]
    assert not [row for row in log if row["status"] == 401], "it was refreshed before it was used"
    assert token_requests(one, "hubspot") == 2


def test_a_refresh_token_of_sixty_days_is_renewed_in_its_last_week_though_nobody_needs_it(
    one: Product,
) -> None:
    one.unlimited("airtable")
    connection = one.connect("airtable")
    assert one.synced(connection["sync_id"])["state"] == "done"
    one.control("DELETE", "airtable/requests")
    one.clock.move(days=54)
    eventually(lambda: token_requests(one, "airtable") == 1)
    one.clock.move(days=50)
    asked = one.api("POST", f"/v1/connections/{connection['id']}/syncs", json={})
    assert one.synced(asked["id"])["state"] == "done"
    assert one.api("GET", f"/v1/connections/{connection['id']}")["status"] == "active"


def test_a_link_to_connect_is_no_longer_good_after_eleven_minutes(one: Product) -> None:
    asked = {"provider": "notion", "org_id": "demo", "user_id": "slow"}
    flow = one.api("POST", "/v1/connect", json=asked)
    one.clock.move(seconds=11 * 60)
    assert one.http.get(flow["authorize_url"]).status_code == 410
    ended = one.api("GET", f"/v1/connect/{flow['flow_id']}")
    assert (ended["status"], ended["error"]["code"]) == ("failed", "flow_expired")


async def test_the_local_broker_trims_a_topic_by_the_age_of_its_records(
    one: Product, account: str
) -> None:
    connection = one.connect("hubspot", account=account)
    assert one.synced(connection["sync_id"])["state"] == "done"
    assert await records(one, JOBS)
    items = {record.key for record in await records(one, ITEMS)}
    one.clock.move(days=8)

    async def trimmed() -> bool:
        return await records(one, JOBS) == []

    await until(trimmed)
    assert items <= {record.key for record in await records(one, ITEMS)}
    asked = one.api("POST", f"/v1/connections/{connection['id']}/syncs", json={})
    assert one.synced(asked["id"])["state"] == "done"
    written = {(record.partition, record.offset) for record in await records(one, JOBS)}
    assert written
    sealed = len(segments(one, JOBS))
    one.clock.move(days=2)
    eventually(lambda: len(segments(one, JOBS)) > sealed)
    left = {(record.partition, record.offset) for record in await records(one, JOBS)}
    assert written <= left, "they are two days old, whatever the clock was ahead by"


def segments(one: Product, topic: str) -> list[Path]:
    return sorted(path for path in one.folder.glob("data/kafka/**/*.log") if topic in str(path))


def test_a_restart_goes_on_at_the_time_that_the_clock_was_moved_to(tmp_path: Path) -> None:
    with product(tmp_path) as one:
        before = one.control("GET", "clock")["now"]
        one.clock.move(days=3)
        one.kill()
        one.start()
        assert seconds_between(before, one.control("GET", "clock")["now"]) >= 3 * 86_400


def test_a_key_opens_nothing_after_its_last_day(tmp_path: Path) -> None:
    with product(tmp_path, TRIBUTARY_PUBLIC_URL="https://tributary.example.com") as one:
        command = "services.gateway keys create --org acme --scope read --expires-in-days 30"
        made = subprocess.run(
            [sys.executable, "-m", *command.split()],
            cwd=tmp_path,
            env={**clean(os.environ), **one.settings},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        (key,) = re.findall(r"trb_\w+", made.stdout)

        def answer() -> int:
            headers = {"authorization": f"Bearer {key}"}
            return httpx.get(
                f"{one.url}/v1/connections", headers=headers, timeout=PATIENCE_S
            ).status_code

        assert answer() == 200
        one.clock.move(days=29)
        assert answer() == 200
        one.clock.move(days=1, seconds=60)
        assert answer() == 401
