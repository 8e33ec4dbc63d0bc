"""The gateway's ``/metrics`` while it projects, and who may read it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from services.gateway.tests.locked import bearer, running_locked
from services.gateway.tests.serving import Gateway
from shared.contracts.envelope import Message
from shared.contracts.topics import CONNECTIONS, ITEMS, PROGRESS, SYNCS, dead_letters
from shared.tests.scraped import Metrics, rise
from tests.support.waiting import until

LAG = "tributary_consumer_lag_messages"
STATE = "tributary_consumer_state"
READERS = {ITEMS: 8, PROGRESS: 4, CONNECTIONS: 4, SYNCS: 4}
"""Topic → partitions."""


async def scrape(gateway: Gateway) -> Metrics:
    answer = await gateway.http.get("/metrics")
    assert answer.status_code == 200, answer.text
    return Metrics(answer.text)


async def seen(gateway: Gateway, name: str, value: float, **labels: str) -> Metrics:
    """Return the first scrape that shows ``value``."""

    async def shown() -> Metrics | None:
        values = await scrape(gateway)
        return values if values.get(name, **labels) == value else None

    found: Metrics = await until(shown)
    return found


def run(database: Path, statement: str) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(statement)


async def test_every_partition_of_its_topics_is_read_to_the_end(gateway: Gateway) -> None:
    await gateway.whole(await gateway.connect(), {"pages": [{"id": f"p{n}"} for n in range(30)]})
    values = await seen(gateway, LAG, 0)
    read = [
        sample.labels["topic"]
        for family in values.families
        if family.name == LAG
        for sample in family.samples
    ]
    assert {topic: read.count(topic) for topic in read} == READERS
    assert values(STATE, state="reading") == len(READERS)
    assert values("tributary_scrape_collector_failed") == 0


async def test_a_database_that_takes_nothing_is_seen_as_waiting_and_as_growing_lag(
    gateway: Gateway,
) -> None:
    connection = await gateway.connect()
    database = gateway.settings.database
    assert isinstance(database, Path)
    before = await seen(gateway, LAG, 0)
    run(database, "ALTER TABLE items RENAME TO hidden")
    await gateway.publish(connection, "pages", [{"id": f"p{n}"} for n in range(20)])
    values = await seen(gateway, STATE, 1, topic=ITEMS, state="waiting")
    assert values(LAG, topic=ITEMS) == 20
    run(database, "ALTER TABLE hidden RENAME TO items")
    after = await seen(gateway, LAG, 0, topic=ITEMS)
    assert rise(before, after)("tributary_messages_read_total", topic=ITEMS) == 20
    await seen(gateway, STATE, 1, topic=ITEMS, state="reading")


async def test_a_poison_message_is_counted_once_it_is_kept(gateway: Gateway) -> None:
    before = await seen(gateway, LAG, 0)
    await gateway.producer.send_all(
        [Message(topic=SYNCS, key=b"k", value=b"{not json", headers=())]
    )
    risen = rise(before, await read_more(gateway, before, SYNCS))
    assert risen("tributary_dead_letters_total", topic=dead_letters(SYNCS)) == 1
    assert risen("tributary_dead_letters_total") == 1


async def test_an_item_that_comes_behind_its_own_newer_version_is_counted_as_a_stale_append(
    gateway: Gateway,
) -> None:
    connection = await gateway.connect()
    before = await seen(gateway, LAG, 0)
    await gateway.publish(connection, "pages", [{"id": "p"}], version=2)
    newer = await read_more(gateway, before, ITEMS)
    await gateway.publish(connection, "pages", [{"id": "p"}], version=1)
    assert (
        rise(before, await read_more(gateway, newer, ITEMS))("tributary_stale_appends_total") == 1
    )


async def test_a_gateway_with_keys_is_scraped_by_its_containers_name_with_an_admin_key(
    tmp_path: Path,
) -> None:
    async with running_locked(tmp_path) as locked:
        headers = {"host": "gateway:8000", **bearer(await locked.key("admin"))}
        answer = await locked.gateway.http.get("/metrics", headers=headers)
        assert Metrics(answer.text)(STATE, topic=ITEMS, state="reading") == 1
        assert locked.own.id not in answer.text
        refused = await locked.gateway.http.get("/metrics", headers={"host": "gateway:8000"})
        assert (refused.status_code, "tributary" in refused.text) == (401, False)


async def read_more(gateway: Gateway, before: Metrics, topic: str) -> Metrics:
    """Return a scrape from after one more message of the topic was read."""
    wanted = before("tributary_messages_read_total", topic=topic) + 1
    return await seen(gateway, "tributary_messages_read_total", wanted, topic=topic)
