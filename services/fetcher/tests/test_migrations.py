"""What a former version stored is there after the upgrade, and what was under way goes on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import select, text

from services.fetcher import jobs, seen, store
from services.fetcher.tables import connections
from services.fetcher.tests.crashing import Fetcher
from shared.contracts.connections import Account, Connection
from shared.contracts.envelope import timestamp
from shared.contracts.pages import LoadPage
from shared.contracts.topics import PAGES
from shared.db import Database, Schema
from tests.contract.migrating import at_revision, check

SCRIPTS = "services.fetcher:migrations"
RESOURCES = tuple(f"fruit-{number}" for number in range(10))
COUNTS = dict.fromkeys(RESOURCES, 4)
OLD_JOB: dict[str, Any] = {
    "kind": "load",
    "state": "ready",
    "generation": 1,
    "wake": 1,
    "worker": None,
    "epoch": 0,
    "seq": 0,
    "step": 1,
    "first_version": None,
    "cursor": "null",
    "place": None,
    "empty": 0,
    "pages": 0,
    "items": 0,
    "expected": None,
    "attempts": 0,
    "receipt": "{}",
    "positions": "{}",
    "pending": "[]",
    "waiting": "null",
    "error": "null",
    "started": None,
    "ended": None,
}


async def insert(database: Database, table: str, **row: Any) -> None:
    names = ", ".join(f'"{name}"' for name in row)
    values = ", ".join(f":{name}" for name in row)
    async with database.write() as db:
        await db.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)


async def fill(database: Database) -> None:
    """Ten jobs under way at once, as before there were turns: one of them was running, with a page behind it."""
    source = Connection(
        id="conn",
        version=3,
        generation=1,
        org_id="org",
        user_id="user",
        provider="orchard",
        client_id="c",
        account=Account(id="a"),
        status="active",
        resources=RESOURCES,
        epoch=1,
        sync_id="sync-1",
        created=timestamp(0),
        updated=timestamp(0),
    )
    raw = msgspec.json.encode(source)
    await insert(database, "connections", id="conn", version=3, generation=1, status="active", snapshot=raw)
    await insert(database, "syncs", id="sync-1", connection="conn", requested=1.0)
    await insert(database, "workers", id="former", beat=time.time())
    for number, resource in enumerate(RESOURCES):
        id_, running = f"job-{number}", number == 0
        lane = {"epoch": 1, "job": id_} if running else {"epoch": 0, "job": None}
        await insert(database, "lanes", connection="conn", resource=resource, loaded=0, **lane)
        begun = {"first_version": 1 << 20, "pages": 1, "items": 3, "seq": 1, "cursor": '{"from": 3}', "epoch": 1}
        now = {**begun, "state": "running", "worker": "former", "pending": f'["{resource}-003"]'} if running else {}
        row = {**OLD_JOB, "id": id_, "connection": "conn", "resource": resource, "changed": time.time(), **now}
        await insert(database, "jobs", **row)
        await insert(database, "job_syncs", job=id_, sync="sync-1")
        wake_up = msgspec.json.encode(LoadPage(job=id_, wake=1))
        await insert(
            database,
            "outbox",
            topic=PAGES,
            key=f"conn/{resource}".encode(),
            value=wake_up,
            headers=msgspec.msgpack.encode(()),
            not_before=0.0,
        )
    for number in range(3):
        id_ = f"{RESOURCES[0]}-{number:03}"
        await insert(
            database, "seen", connection="conn", resource=RESOURCES[0], id=id_, digest=b"d", version=(1 << 20) + 1
        )


async def test_what_was_stored_is_there_with_a_meaning_for_what_is_new(place: Path | Schema) -> None:
    async with at_revision(place, SCRIPTS, "0002") as database:
        await fill(database)
        await database.migrate(SCRIPTS)
        await check(database, SCRIPTS)
        async with database.read() as db:
            found = await jobs.find(db)
            assert [(job.resource, job.background, job.step) for job in found] == [(one, False, 1) for one in RESOURCES]
            assert found[0].pending == (f"{RESOURCES[0]}-003",)
            assert found[0].cursor == {"from": 3}
            assert (await db.execute(select(connections.c.parallel))).scalar_one() == 4
            assert (await store.connection(db, "conn")) is not None
            assert await seen.count(db, "conn", RESOURCES[0]) == 3
            assert await store.planned(db, "sync-1")


async def test_loads_that_were_under_way_come_to_their_end(place: Path | Schema) -> None:
    async with at_revision(place, SCRIPTS, "0002") as database:
        await fill(database)
        await database.migrate(SCRIPTS)
    fetcher = Fetcher(place, COUNTS)
    await fetcher.boot()
    assert await fetcher.stranded() == []
    await fetcher.run_until_over()
    assert {job.state for job in await fetcher.all_jobs()} == {"done"}
    assert {progress.items for progress in fetcher.newest_progress().values()} == {4}
    live = fetcher.log.live_items()
    expected = {resource: [f"{resource}-{number:03}" for number in range(4)] for resource in RESOURCES}
    # Of the page that was sent before the upgrade only what is new since then comes again.
    assert sorted(live[RESOURCES[0]]) == expected[RESOURCES[0]][3:]
    assert {resource: sorted(live[resource]) for resource in RESOURCES[1:]} == {
        resource: expected[resource] for resource in RESOURCES[1:]
    }
    await fetcher.database.close()
