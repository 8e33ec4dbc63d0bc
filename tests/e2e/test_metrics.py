"""``/metrics`` of the whole product in one process: each port shows its own service's metrics."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.contracts.envelope import Message
from shared.contracts.topics import ITEMS, JOBS, SYNCS, dead_letters
from shared.kafka import Producer
from shared.settings import Cluster
from shared.tests.scraped import Metrics, rise
from tests.support.processes import ROOT
from tests.support.product import Product, product
from tests.support.waiting import PATIENCE_S, eventually

pytestmark = pytest.mark.e2e

PROVIDER = "hubspot"
COUNTS = {"companies": 250, "contacts": 450, "deals": 150}
TOTAL = sum(COUNTS.values())
GUIDE = ROOT / "docs" / "operate.md"
REFERENCE = ROOT / "docs" / "reference" / "metrics.md"
SERVICES = ("AUTH", "FETCHER", "GATEWAY")
OWN = {
    "AUTH": "tributary_refreshes_total",
    "FETCHER": "tributary_pages_total",
    "GATEWAY": "tributary_stale_appends_total",
}


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with product(tmp_path_factory.mktemp("metrics")) as started:
        yield started


def text(running: Product, service: str) -> str:
    """Scrape as Prometheus does: by an address, without credentials."""
    answer = httpx.get(
        f"http://127.0.0.1:{running.ports[service]}/metrics", timeout=PATIENCE_S, trust_env=False
    )
    assert answer.status_code == 200, answer.text
    return answer.text


def scrape(running: Product, service: str) -> Metrics:
    return Metrics(text(running, service))


def seen(running: Product, service: str, name: str, value: float, **labels: str) -> Metrics:
    """Return the first scrape that shows ``value``."""

    def shown() -> Metrics | None:
        values = scrape(running, service)
        return values if values.get(name, **labels) == value else None

    found: Metrics = eventually(shown)
    return found


def load(running: Product, name: str) -> dict[str, Any]:
    running.unlimited(PROVIDER)
    connection = running.connect(PROVIDER, account=running.account(PROVIDER, COUNTS, name=name))
    assert running.synced(connection["sync_id"])["state"] == "done"
    return connection


@pytest.mark.parametrize("page", [GUIDE, REFERENCE])
def test_every_metric_that_the_documents_name_is_there(one: Product, page: Path) -> None:
    told = set(re.findall(r"\btributary_[a-z_]+", page.read_text("utf-8")))
    shown = set(
        re.findall(
            r"^# TYPE (tributary_[a-z_]+)",
            "\n".join(text(one, port) for port in SERVICES),
            re.MULTILINE,
        )
    )
    assert told - shown == set()
    assert shown - told == set()


@pytest.mark.parametrize("service", SERVICES)
def test_every_port_shows_its_own_service_only_and_the_process(one: Product, service: str) -> None:
    values = seen(one, service, "tributary_scrape_collector_failed", 0)
    shown = {family for family in OWN.values() if values.get(family) is not None}
    assert shown == {OWN[service]}
    assert values("process_resident_memory_bytes") > 10e6
    seen(one, service, "tributary_outbox_oldest_due_seconds", 0)


def test_a_load_raises_pages_items_and_jobs_and_leaves_no_lag(one: Product) -> None:
    fetcher, gateway = scrape(one, "FETCHER"), scrape(one, "GATEWAY")
    connection = load(one, "a load")
    fetched = rise(fetcher, after := scrape(one, "FETCHER"))
    assert fetched("tributary_items_total", provider=PROVIDER, outcome="sent") == TOTAL
    assert fetched("tributary_items_total") == TOTAL
    assert fetched("tributary_pages_total", provider=PROVIDER) >= len(COUNTS)
    assert fetched("tributary_jobs_ended_total", outcome="done") == len(COUNTS)
    assert after("tributary_jobs") == 0
    assert (after("tributary_slots"), after("tributary_workers")) == (8, 1)
    read = rise(gateway, seen(one, "GATEWAY", "tributary_consumer_lag_messages", 0, topic=ITEMS))
    assert read("tributary_messages_read_total", topic=ITEMS) == TOTAL
    assert read("tributary_http_requests_total", route="/v1/syncs/{sync_id}", status="200") >= 1
    again = one.api("POST", f"/v1/connections/{connection['id']}/syncs", json={})
    one.synced(again["id"])
    assert (
        rise(after, scrape(one, "FETCHER"))("tributary_items_total", outcome="unchanged") == TOTAL
    )


def test_a_poison_message_raises_the_dead_letters_of_each_service_that_reads_it(
    one: Product,
) -> None:
    topics = {"FETCHER": JOBS, "GATEWAY": SYNCS}
    before = {service: scrape(one, service) for service in topics}
    asyncio.run(
        put(
            one,
            *[
                Message(topic=topic, key=b"k", value=b"{not json", headers=())
                for topic in topics.values()
            ],
        )
    )
    for service, topic in topics.items():
        kept = dead_letters(topic)
        wanted = before[service]("tributary_dead_letters_total", topic=kept) + 1
        seen(one, service, "tributary_dead_letters_total", wanted, topic=kept)


async def put(running: Product, *messages: Message) -> None:
    producer = Producer(Cluster(bootstrap=running.bootstrap), client_id="poison")
    await producer.start()
    await producer.send_all(messages)
    await producer.stop()


def test_a_rate_limit_shows_as_waits_and_as_jobs_with_a_timer(one: Product) -> None:
    """The first page is refused, so every later one finds that no call is allowed now."""
    one.unlimited(PROVIDER)
    account = one.account(PROVIDER, COUNTS, name="limited")
    limited = {
        "status": 429,
        "headers": {"Retry-After": "3600"},
        "body": {"status": "error", "policyName": "X"},
    }
    fault = {"match": {"method": "GET", "path": "/crm/objects/2026-03/*"}, "times": 1, **limited}
    one.control("PUT", f"{PROVIDER}/faults", json=[fault])
    before = scrape(one, "FETCHER")
    connection = one.connect(PROVIDER, account=account)
    waiting = eventually(lambda: timer(one), every=0.05)
    assert waiting("tributary_jobs", state="waiting") >= 1
    one.all_waiting(connection["sync_id"])
    one.clock.move(hours=1)
    assert one.synced(connection["sync_id"])["state"] == "done"
    risen = rise(before, scrape(one, "FETCHER"))
    assert risen("tributary_rate_limited_total", provider=PROVIDER) == 1
    assert risen("tributary_quota_waits_total", provider=PROVIDER) >= 1
    assert risen("tributary_quota_wait_seconds_total", provider=PROVIDER) > 0
    seen(one, "FETCHER", "tributary_outbox_rows", 0)


def timer(running: Product) -> Metrics | None:
    """Return a scrape that shows a message waiting for its time, which counts as no delay."""
    values = scrape(running, "FETCHER")
    shown = (
        values("tributary_outbox_rows") >= 1
        and values("tributary_outbox_oldest_due_seconds") == 0
        and values("tributary_jobs", state="waiting") >= 1
        and values("tributary_rate_limited_total", provider=PROVIDER) >= 1
    )
    return values if shown else None


def test_a_token_that_is_refused_early_is_counted_as_a_refresh(one: Product) -> None:
    one.unlimited(PROVIDER)
    account = one.account(PROVIDER, COUNTS, name="refused")
    before = scrape(one, "AUTH")
    refused = {
        "match": {"method": "GET", "path": "/crm/objects/2026-03/deals*"},
        "status": 401,
        "times": 1,
    }
    one.control(
        "PUT",
        f"{PROVIDER}/faults",
        json=[{**refused, "body": {"status": "error", "category": "EXPIRED"}}],
    )
    connection = one.connect(PROVIDER, account=account)
    assert one.synced(connection["sync_id"])["state"] == "done"
    after = scrape(one, "AUTH")
    assert (
        rise(before, after)("tributary_refreshes_total", provider=PROVIDER, outcome="refreshed")
        == 1
    )
    assert after("tributary_connections", provider=PROVIDER, status="active") >= 1
