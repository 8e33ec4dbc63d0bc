"""An upgrade keeps what the first layout stored, and work under way continues."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import text

from services.fetcher import known_items, store
from services.fetcher.jobs import queries
from services.fetcher.tests.crashing import Fetcher
from shared.contracts.connections import Account, Connection
from shared.contracts.envelope import timestamp
from shared.contracts.jobs import RunJob
from shared.contracts.topics import JOBS
from shared.db import Database, Schema
from tests.contract.migrating import at_revision, check

SCRIPTS = "services.fetcher:migrations"
RESOURCES = tuple(f"fruit-{number}" for number in range(10))
COUNTS = dict.fromkeys(RESOURCES, 4)
OLD_JOB: dict[str, Any] = {
    "kind": "load",
    "background": False,
    "state": "ready",
    "outcome": None,
    "generation": 1,
    "dispatch": 1,
    "worker_id": None,
    "epoch": 0,
    "seq": 0,
    "step": 1,
    "first_version": None,
    "cursor": "null",
    "part": None,
    "empty_pages": 0,
    "pages": 0,
    "items": 0,
    "expected": None,
    "attempts": 0,
    "receipt": "{}",
    "item_positions": "{}",
    "pending_ids": "[]",
    "waiting_until": None,
    "waiting_reason": None,
    "error": "null",
    "started_at": None,
    "ended_at": None,
}


async def insert(database: Database, table: str, **row: Any) -> None:
    names = ", ".join(f'"{name}"' for name in row)
    values = ", ".join(f":{name}" for name in row)
    async with database.write() as db:
        await db.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)


async def fill(database: Database) -> None:
    """Add ten jobs under way, one of them running with one page already read."""
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
        token_version=1,
        sync_id="sync-1",
        created_at=timestamp(0),
        updated_at=timestamp(0),
    )
    raw = msgspec.json.encode(source)
    row = {
        "id": "conn",
        "version": 3,
        "generation": 1,
        "status": "active",
        "snapshot": raw,
        "parallel": 4,
    }
    await insert(database, "connections", **row)
    await insert(database, "syncs", id="sync-1", connection_id="conn", requested_at=1.0)
    await insert(database, "workers", id="former", beat_at=time.time())
    for number, resource in enumerate(RESOURCES):
        id_, running = f"job-{number}", number == 0
        lane = {"epoch": 1, "job_id": id_} if running else {"epoch": 0, "job_id": None}
        await insert(database, "lanes", connection_id="conn", resource=resource, loaded=0, **lane)
        begun = {
            "first_version": 1 << 20,
            "pages": 1,
            "items": 3,
            "seq": 1,
            "cursor": '{"from": 3}',
            "epoch": 1,
        }
        now = (
            {
                **begun,
                "state": "running",
                "worker_id": "former",
                "pending_ids": f'["{resource}-003"]',
            }
            if running
            else {}
        )
        row = {
            **OLD_JOB,
            "id": id_,
            "connection_id": "conn",
            "resource": resource,
            "changed_at": time.time(),
            **now,
        }
        await insert(database, "jobs", **row)
        await insert(database, "job_syncs", job_id=id_, sync_id="sync-1")
        run_job = msgspec.json.encode(RunJob(job_id=id_, dispatch=1))
        await insert(
            database,
            "outbox",
            topic=JOBS,
            key=f"conn/{resource}".encode(),
            value=run_job,
            headers=msgspec.msgpack.encode(()),
            not_before=0.0,
        )
    for number in range(3):
        id_ = f"{RESOURCES[0]}-{number:03}"
        first = {"connection_id": "conn", "resource": RESOURCES[0]}
        row = {**first, "id": id_, "digest": b"d" if number else b"", "version": (1 << 20) + 1}
        await insert(database, "known_items", **row)


async def test_what_was_stored_is_there(place: Path | Schema) -> None:
    async with at_revision(place, SCRIPTS, "0100") as database:
        await fill(database)
        await database.migrate(SCRIPTS)
        await check(database, SCRIPTS)
        async with database.read() as db:
            found = await queries.find(db)
            assert [(job.resource, job.step) for job in found] == [(one, 1) for one in RESOURCES]
            assert found[0].pending_ids == (f"{RESOURCES[0]}-003",)
            assert found[0].cursor is None, "its walk begins anew, part by part"
            assert (await store.connection(db, "conn")) is not None
            assert await known_items.count(db, "conn", RESOURCES[0]) == 3
            lane = await known_items.lane_digest(db, "conn", RESOURCES[0])
            assert (lane.total > 0, lane.invalidated) == (True, 1)
            assert await store.planned(db, "sync-1")


async def test_loads_that_were_under_way_come_to_their_end(place: Path | Schema) -> None:
    async with at_revision(place, SCRIPTS, "0100") as database:
        await fill(database)
        await database.migrate(SCRIPTS)
    fetcher = Fetcher(place, COUNTS)
    await fetcher.boot()
    assert await fetcher.stranded() == []
    await fetcher.run_until_over()
    assert {job.outcome for job in await fetcher.all_jobs()} == {"done"}
    assert {progress.items for progress in fetcher.newest_progress().values()} == {4}
    live = fetcher.log.live_items()
    numbers = ("000", "001", "002", "003")
    expected = {}
    for resource in RESOURCES:
        expected[resource] = [f"{resource}-{number}" for number in numbers]
    # The page that was sent before the upgrade comes again: its digests here are stand-ins.
    assert {resource: sorted(live[resource]) for resource in RESOURCES} == expected
    await fetcher.database.close()
