from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec.structs import replace
from sqlalchemy import delete, select

from services.gateway.tables import connections, items, positions, sync_jobs, syncs
from services.gateway.tests.fake_auth import FakeAuth
from services.gateway.tests.serving import SECRET, gone, item, read_topic, running_broker, running_gateway
from shared.contracts.topics import ITEMS, dead_letters
from shared.db import Database


async def rows(path: Path) -> list[dict[str, Any]]:
    database = Database(path)
    async with database.read() as db:
        kept = await db.execute(select(items).where(items.c.deleted.is_(False)))
        found = [dict(row) for row in kept.mappings()]
    await database.close()
    return sorted(found, key=lambda row: (row["connection"], row["resource"], row["id"]))


async def test_rebuilding_the_read_model_from_the_topics_gives_the_same_rows(tmp_path: Path) -> None:
    auth = FakeAuth(SECRET)
    async with running_broker(tmp_path) as (bootstrap, producer):
        async with running_gateway(tmp_path, bootstrap, producer, auth) as gateway:
            kept = await gateway.connect("notion", account="kept")
            left = await gateway.connect("notion", account="left")
            for connection in (kept, left):
                await gateway.tell("Connected", connection)
                await gateway.whole(connection, {"pages": [{"id": f"p{i}"} for i in range(30)]})
            changes = [item(kept, "pages", version=i + 2, id=f"p{i}", name=f"again {i}") for i in range(10)]
            await producer.send_all([*changes, gone(kept, "pages", "p20", version=50)])
            await gateway.http.delete(f"/v1/connections/{left.id}")
            await gateway.tell("Disconnected", auth.connections[left.id])
            await gateway.until(f"/v1/connections/{kept.id}", lambda one: one["items"] == 29)
            await gateway.until(f"/v1/items/{kept.id}/pages/p9", lambda one: one["version"] == 11)
        before = await rows(tmp_path / "gateway.sqlite3")
        assert len(before) == 29

        database = Database(tmp_path / "gateway.sqlite3")
        async with database.write() as db:
            for table in (items, positions, connections, syncs, sync_jobs):
                await db.execute(delete(table))
        await database.close()

        async with running_gateway(tmp_path, bootstrap, producer, auth) as gateway:
            await gateway.until("/v1/connections", lambda page: len(page["connections"]) == 1)
            await gateway.until(f"/v1/connections/{left.id}", lambda one: one.get("status") == "disconnected")
            await gateway.until(f"/v1/connections/{kept.id}", lambda one: one["items"] == 29)
            await gateway.until(f"/v1/items/{kept.id}/pages/p9", lambda one: one["version"] == 11)
            sync = await gateway.until(f"/v1/syncs/{kept.sync_id}", lambda one: one["state"] == "done")
            assert sync["created"]
        assert await rows(tmp_path / "gateway.sqlite3") == before


async def test_a_restart_reads_on_where_it_stopped(tmp_path: Path) -> None:
    auth = FakeAuth(SECRET)
    async with running_broker(tmp_path) as (bootstrap, producer):
        async with running_gateway(tmp_path, bootstrap, producer, auth) as gateway:
            connection = await gateway.connect("notion")
            await gateway.whole(connection, {"pages": [{"id": "p1"}]})
        await producer.send_all([item(connection, "pages", version=2, id="p2")])
        async with running_gateway(tmp_path, bootstrap, producer, auth) as gateway:
            await gateway.until(f"/v1/connections/{connection.id}", lambda one: one["items"] == 2)


async def test_T24_a_message_that_does_not_decode_goes_to_the_dead_letters_and_the_rest_is_read(tmp_path: Path) -> None:
    auth = FakeAuth(SECRET)
    async with (
        running_broker(tmp_path) as (bootstrap, producer),
        running_gateway(tmp_path, bootstrap, producer, auth) as gateway,
    ):
        connection = await gateway.connect("notion")
        good = item(connection, "pages", id="good")
        for value, headers in ((b"{", good.headers), (b"[]", good.headers), (good.value, ()), (None, ())):
            await producer.send_all([replace(good, value=value, headers=headers)])
        await producer.send_all([good])
        await gateway.until(f"/v1/connections/{connection.id}", lambda one: one["items"] == 1)
        kept = await read_topic(bootstrap, dead_letters(ITEMS), key=good.key.decode(), count=4)
        assert {one.value for one in kept} == {b"{", b"[]", good.value, None}
        assert (await gateway.http.get("/health/ready")).status_code == 200
