from __future__ import annotations

from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from msgspec.structs import replace
from sqlalchemy import delete, select

from services.gateway.tables import connections, items, positions, sync_jobs, syncs
from services.gateway.tests.fake_auth import FakeAuth
from services.gateway.tests.serving import (
    SECRET,
    Gateway,
    gone,
    item,
    read_topic,
    running_broker,
    running_gateway,
)
from shared.contracts.connections import Connection
from shared.contracts.topics import CONNECTIONS, ITEMS, PROGRESS, SYNCS, dead_letters
from shared.db import Database
from shared.kafka import ensure_topics
from tests.support.waiting import until

READ_MODEL = (items, positions, connections, syncs, sync_jobs)


async def rows(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the read model, without guards against late items and the numbers of changes."""
    database = Database(path)
    found = {}
    async with database.read() as db:
        for table in READ_MODEL:
            kept = select(table).order_by(*table.primary_key)
            kept = kept.where(items.c.deleted.is_(False)) if table is items else kept
            found[table.name] = [dict(row) for row in (await db.execute(kept)).mappings()]
            for row in found[table.name]:
                row.pop("revision", None)
    await database.close()
    return found


async def fill(gateway: Gateway) -> tuple[Connection, Connection]:
    """Make two connections with items and syncs; the second one is disconnected."""
    kept = await gateway.connect("notion", account="kept")
    left = await gateway.connect("notion", account="left")
    for connection in (kept, left):
        await gateway.tell("Connected", connection)
        await gateway.whole(connection, {"pages": [{"id": f"p{i}"} for i in range(30)]})
    changes = [item(kept, "pages", version=i + 2, id=f"p{i}", name=f"again {i}") for i in range(10)]
    await gateway.producer.send_all([*changes, gone(kept, "pages", "p20", version=50)])
    await gateway.http.delete(f"/v1/connections/{left.id}")
    await gateway.tell("Disconnected", gateway.auth.connections[left.id])
    for body, reached in (
        ({}, "done"),
        ({"resources": ["users"]}, "done"),
        ({"resources": ["pages"]}, None),
    ):
        asked = await gateway.http.post(f"/v1/connections/{kept.id}/syncs", json=body)
        shown = asked.json()
        for one in shown["resources"] if reached else ():
            await gateway.progress(shown["id"], kept, one["resource"], step=3, state=reached)
    await read_topic(gateway.settings.kafka.bootstrap, SYNCS, key=kept.id, count=3)
    await gateway.until(f"/v1/connections/{kept.id}", lambda one: one["items"] == 29)
    await gateway.until(f"/v1/items/{kept.id}/pages/p9", lambda one: one["version"] == 11)
    return kept, left


async def test_rebuilding_the_read_model_from_the_topics_gives_the_same_rows(
    tmp_path: Path,
) -> None:
    auth = FakeAuth(SECRET)
    async with running_broker(tmp_path) as (bootstrap, producer):
        async with running_gateway(tmp_path, bootstrap, producer, auth) as gateway:
            kept, left = await fill(gateway)
            await all_was_read(gateway, tmp_path)
        before = await rows(tmp_path / "gateway.sqlite3")
        assert len(before["items"]) == 29
        assert [(one["whole"], one["ended_at"] is None) for one in before["syncs"]] == [
            (True, False),
            (True, False),
            (True, False),
            (False, False),
            (False, True),
        ]

        database = Database(tmp_path / "gateway.sqlite3")
        async with database.write() as db:
            for table in READ_MODEL:
                await db.execute(delete(table))
        await database.close()

        async with running_gateway(tmp_path, bootstrap, producer, auth) as gateway:
            await gateway.until("/v1/connections", lambda page: len(page["connections"]) == 1)
            await gateway.until(
                f"/v1/connections/{left.id}", lambda one: one.get("status") == "disconnected"
            )
            await gateway.until(f"/v1/connections/{kept.id}", lambda one: one["items"] == 29)
            await gateway.until(f"/v1/items/{kept.id}/pages/p9", lambda one: one["version"] == 11)
            await gateway.until(f"/v1/syncs/{kept.sync_id}", lambda one: one["state"] == "done")
            await all_was_read(gateway, tmp_path)
        assert await rows(tmp_path / "gateway.sqlite3") == before


async def all_was_read(gateway: Gateway, folder: Path) -> None:
    """Wait until the gateway has read every topic to its end."""
    topics = (ITEMS, PROGRESS, CONNECTIONS, SYNCS)
    consumer = AIOKafkaConsumer(*topics, bootstrap_servers=gateway.settings.kafka.bootstrap)
    await consumer.start()
    parts = [
        TopicPartition(topic, part)
        for topic in topics
        for part in consumer.partitions_for_topic(topic) or ()
    ]
    ends = {
        (at.topic, at.partition): end
        for at, end in (await consumer.end_offsets(parts)).items()
        if end
    }
    await consumer.stop()

    async def all_read() -> bool:
        return ends == await standing(folder)

    await until(all_read)


async def standing(folder: Path) -> dict[tuple[str, int], int]:
    kept = (await rows(folder / "gateway.sqlite3"))["positions"]
    return {(row["topic"], row["partition"]): row["next_offset"] for row in kept}


async def test_a_restart_reads_on_where_it_stopped(tmp_path: Path) -> None:
    auth = FakeAuth(SECRET)
    async with running_broker(tmp_path) as (bootstrap, producer):
        async with running_gateway(tmp_path, bootstrap, producer, auth) as gateway:
            connection = await gateway.connect("notion")
            await gateway.whole(connection, {"pages": [{"id": "p1"}]})
        await producer.send_all([item(connection, "pages", version=2, id="p2")])
        async with running_gateway(tmp_path, bootstrap, producer, auth) as gateway:
            await gateway.until(f"/v1/connections/{connection.id}", lambda one: one["items"] == 2)


async def test_T24_a_message_that_does_not_decode_goes_to_the_dead_letters_and_the_rest_is_read(
    tmp_path: Path,
) -> None:
    auth = FakeAuth(SECRET)
    async with (
        running_broker(tmp_path) as (bootstrap, producer),
        running_gateway(tmp_path, bootstrap, producer, auth) as gateway,
    ):
        connection = await gateway.connect("notion")
        good = item(connection, "pages", id="good")
        for value, headers in (
            (b"{", good.headers),
            (b"[]", good.headers),
            (good.value, ()),
            (None, ()),
        ):
            await producer.send_all([replace(good, value=value, headers=headers)])
        await producer.send_all([good])
        await gateway.until(f"/v1/connections/{connection.id}", lambda one: one["items"] == 1)
        kept = await read_topic(bootstrap, dead_letters(ITEMS), key=good.key.decode(), count=4)
        assert {one.value for one in kept} == {b"{", b"[]", good.value, None}
        assert (await gateway.http.get("/health/ready")).status_code == 200


async def test_a_topic_that_was_made_anew_is_read_from_its_beginning(tmp_path: Path) -> None:
    auth = FakeAuth(SECRET)
    async with running_broker(tmp_path) as (bootstrap, producer):
        async with running_gateway(tmp_path, bootstrap, producer, auth) as gateway:
            connection = await gateway.connect("notion")
            await gateway.whole(connection, {"pages": [{"id": f"p{n}"} for n in range(20)]})
            cluster = gateway.settings.kafka
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        await admin.delete_topics([ITEMS])
        await admin.close()
        await ensure_topics(cluster, local=True)
        # More than the old log held: a reader that continued from its old position would skip the
        # first ones.
        await producer.send_all(
            [item(connection, "pages", version=9, id=f"after-{n}") for n in range(30)]
        )
        async with running_gateway(tmp_path, bootstrap, producer, auth) as gateway:
            await gateway.until(f"/v1/connections/{connection.id}", lambda one: one["items"] == 50)
