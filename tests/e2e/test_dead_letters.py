"""A replay changes nothing that is already there, however often: `RunJob`, progress or item."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from shared.contracts.envelope import header
from shared.contracts.topics import ITEMS, JOBS, PROGRESS, dead_letters
from shared.kafka import ConsumedRecord, Producer
from shared.kafka.dead_letters import DeadLetters
from shared.settings import Cluster
from tests.e2e.topics import records
from tests.support.product import Product, product
from tests.support.waiting import PATIENCE_S, eventually

pytestmark = pytest.mark.e2e

COUNTS = {"companies": 120, "contacts": 260, "deals": 90}
COPIES = 2


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with product(tmp_path_factory.mktemp("letters")) as started:
        yield started


def read(one: Product, topic: str) -> list[ConsumerRecord[bytes, bytes]]:
    return asyncio.run(records(one, topic))


def page_calls(one: Product) -> list[str]:
    log = one.control("GET", "hubspot/requests")["items"]
    return sorted(row["path"] for row in log if "/objects/" in row["path"])


def kept(one: Product, found: list[ConsumerRecord[bytes, bytes]], *, service: str) -> list[str]:
    """Make dead letters of processed messages; return their ids."""

    async def keep() -> None:
        producer = Producer(Cluster(bootstrap=one.bootstrap), client_id="test")
        await producer.start()
        for record in found:
            consumed = ConsumedRecord(
                record.topic,
                record.partition,
                record.offset,
                record.key or b"",
                record.value,
                tuple(record.headers),
            )
            await DeadLetters(producer, service=service).publish(
                consumed, ValueError("a fault that is mended by now")
            )
        await producer.stop()

    asyncio.run(keep())
    page = one.api("GET", "/v1/dead-letters", params={"topic": found[0].topic, "page_size": 200})
    assert len(page["dead_letters"]) == len(found)
    return [letter["id"] for letter in page["dead_letters"]]


def replayed(one: Product, ids: list[str]) -> None:
    """Replay each ``COPIES`` times; the gateway dies before it records it, except the last time."""
    for copy in range(COPIES):
        for id_ in ids:
            one.api("POST", f"/v1/dead-letters/{id_}/replay")
        if copy < COPIES - 1:
            with sqlite3.connect(
                one.folder / "data" / "gateway.db", timeout=PATIENCE_S
            ) as database:
                database.execute("UPDATE replays SET sent_at = NULL, begun_at = 0")
            database.close()


def state(one: Product, connection: dict[str, Any]) -> dict[str, Any]:
    return {
        "items": list(one.items(connection["id"])),
        "sync": one.api("GET", f"/v1/syncs/{connection['sync_id']}"),
        "connection": one.api("GET", f"/v1/connections/{connection['id']}"),
    }


def all_read(one: Product, topics: tuple[str, ...]) -> bool:
    """Wait until the gateway has stored positions at the end of each topic that it folds."""
    ends: dict[tuple[str, int], int] = {}
    for topic in topics:
        for record in read(one, topic):
            ends[topic, record.partition] = max(
                ends.get((topic, record.partition), 0), record.offset + 1
            )
    with sqlite3.connect(one.folder / "data" / "gateway.db", timeout=PATIENCE_S) as database:
        stored = {(topic, partition): at for topic, partition, at in database.execute(POSITIONS)}
    database.close()
    return all(stored.get(place, 0) >= end for place, end in ends.items())


POSITIONS = "SELECT topic, partition, next_offset FROM positions"


def test_R6_replaying_run_jobs_progress_and_items_twice_leaves_everything_as_it_was(
    one: Product,
) -> None:
    one.unlimited("hubspot")
    account = one.account("hubspot", COUNTS)
    connection = one.connect("hubspot", account=account)
    assert one.synced(connection["sync_id"])["state"] == "done"
    sent = {topic: read(one, topic) for topic in (JOBS, PROGRESS, ITEMS)}
    letters = [
        *kept(one, sent[JOBS], service="fetcher"),
        *kept(one, sent[PROGRESS][:8], service="gateway"),
        *kept(one, sent[ITEMS][:8], service="gateway"),
    ]
    before, calls = state(one, connection), page_calls(one)
    one.control("DELETE", "hubspot/requests")
    replayed(one, letters)

    for topic, originals in sent.items():
        copies = [row for row in read(one, topic) if header(row.headers, "dlq_replay")]
        where = {(row.key, row.value): row.partition for row in originals}
        assert len(copies) == COPIES * sum(dead_letters(topic) in letter for letter in letters)
        assert all(where[row.key, row.value] == row.partition for row in copies)
    eventually(lambda: all_read(one, (PROGRESS, ITEMS)))
    # The fetcher reads each lane's `RunJob`s in order: one more load goes through after all the
    # copies.
    again = one.api("POST", f"/v1/connections/{connection['id']}/syncs", json={})
    assert one.synced(again["id"])["state"] == "done"

    after = state(one, connection)
    assert after["items"] == before["items"]
    assert after["sync"] == before["sync"]
    assert one.differences("hubspot", account, connection["id"]) == {}
    assert page_calls(one) == calls
