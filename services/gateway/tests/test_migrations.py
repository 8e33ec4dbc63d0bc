"""What a former version stored is there after the upgrade."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import text

from services.gateway import store
from services.gateway.connections import queries as connections
from services.gateway.items import queries as items
from services.gateway.items.queries import ItemQuery
from services.gateway.project import project_items
from services.gateway.security import queries
from services.gateway.syncs import queries as syncs
from services.gateway.tests.test_stale_appends import row
from shared.contracts.connections import Account, Connection
from shared.contracts.progress import JobProgress, Receipt
from shared.contracts.topics import ITEMS
from shared.db import Database, Schema
from tests.contract.migrating import at_revision, check

SCRIPTS = "services.gateway:migrations"
SOURCE = Connection(
    id="c",
    version=2,
    generation=1,
    org_id="o",
    user_id="u",
    provider="notion",
    client_id="k",
    account=Account(id="a"),
    status="active",
    epoch=1,
    created="2026-01-01T00:00:00Z",
    updated="2026-01-01T00:00:00Z",
)
ENDED = JobProgress(
    sync="s",
    job="j",
    step=4,
    connection="c",
    resource="pages",
    state="done",
    pages=1,
    items=2,
    receipt=Receipt(),
    positions={0: 1},
    started="2026-01-01T00:00:00Z",
    ended="2026-01-01T00:00:05Z",
)


async def insert(database: Database, table: str, **values: Any) -> None:
    names = ", ".join(f'"{name}"' for name in values)
    given = ", ".join(f":{name}" for name in values)
    async with database.write() as db:
        await db.execute(text(f"INSERT INTO {table} ({names}) VALUES ({given})"), values)


async def fill(database: Database) -> None:
    await insert(
        database,
        "connections",
        id="c",
        version=2,
        generation=1,
        org_id="o",
        user_id="u",
        provider="notion",
        status="active",
        created=SOURCE.created,
        snapshot=msgspec.json.encode(SOURCE),
    )
    asked = {"id": "s", "connection": "c", "mode": "load", "resources": b'["pages"]', "whole": True, "why": "connect"}
    await insert(database, "syncs", **asked, created=5.0, ended=None)
    heard = {"sync": "s", "resource": "pages", "job": "j", "step": 4, "revision": 9, "final": True, "readable": False}
    await insert(database, "sync_jobs", **heard, body=msgspec.json.encode(ENDED))
    for offset, id_ in enumerate(("a", "b")):
        stored = row(id_, version=7, offset=offset) | {"name": id_.upper(), "folded": id_, "raw": b"{}"}
        await insert(database, "items", **stored)
    await insert(database, "positions", topic=ITEMS, partition=0, log="log", next=2)
    await insert(database, "outbox", topic="t", key=b"k", value=b"v", headers=b"\x90", not_before=0.0)


async def test_the_read_model_and_the_positions_are_kept_and_reading_goes_on(place: Path | Schema) -> None:
    async with at_revision(place, SCRIPTS, "0001") as database:
        await fill(database)
        await database.migrate(SCRIPTS)
        await check(database, SCRIPTS)
        async with database.write() as db:
            assert await connections.get(db, "c") == SOURCE
            assert [one.id for one in await items.page(db, ItemQuery(connections=["c"]))] == ["a", "b"]
            assert await store.load_positions(db, ITEMS, "log") == {0: 2}
            await project_items(db, [row("a", version=6, offset=2), row("b", version=8, offset=3, deleted=True)])
            await syncs.settle(db, log="log")
        async with database.read() as db:
            assert [one.id for one in await items.page(db, ItemQuery())] == ["a"]
            ended = await syncs.get(db, "s")
            assert ended is not None
            assert ended.ended is not None
            assert await queries.find_keys(db, org="o") == []
            assert (await db.execute(text("SELECT count(*) FROM outbox"))).scalar_one() == 1
