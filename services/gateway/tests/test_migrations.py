"""An upgrade keeps what a former version stored, or reads it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import text

from services.gateway import store
from services.gateway.connections import queries as connections
from services.gateway.items import queries as items
from services.gateway.items.queries import ItemQuery
from services.gateway.security import queries
from services.gateway.security.queries import ApiKey, Session
from services.gateway.syncs import queries as syncs
from shared.contracts.topics import ITEMS
from shared.db import Database, Schema
from tests.contract.migrating import at_revision, check

SCRIPTS = "services.gateway:migrations"
KEYS = (
    ApiKey(prefix="p1", digest="d1", org_id="o", scope="admin", name="CI", created_at=1.5),
    ApiKey(
        prefix="p2",
        digest="d2",
        org_id="o",
        scope="read",
        name="",
        created_at=2.5,
        expires_at=9.0,
        last_used_at=3.0,
        revoked_at=4.0,
    ),
)
SESSION = Session(id="s1", prefix="p1", created_at=5.0, used_at=6.0)


async def insert(database: Database, table: str, **values: Any) -> None:
    names = ", ".join(f'"{name}"' for name in values)
    given = ", ".join(f":{name}" for name in values)
    async with database.write() as db:
        await db.execute(text(f"INSERT INTO {table} ({names}) VALUES ({given})"), values)


async def fill_read_model(database: Database) -> None:
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
        created="2026-01-01T00:00:00Z",
        snapshot=b"{}",
    )
    asked = {
        "id": "s",
        "connection": "c",
        "mode": "load",
        "resources": b'["pages"]',
        "whole": True,
        "why": "connect",
    }
    await insert(database, "syncs", **asked, created=5.0, ended=None)
    heard = {
        "sync": "s",
        "resource": "pages",
        "job": "j",
        "step": 4,
        "revision": 9,
        "final": True,
        "readable": False,
    }
    await insert(database, "sync_jobs", **heard, body=b"{}")
    key = {"connection": "c", "resource": "pages", "id": "a", "provider": "notion", "org_id": "o"}
    version = {"generation": 1, "version": 7, "partition": 0, "offset": 0, "deleted": False}
    await insert(
        database,
        "items",
        **key,
        **version,
        name="A",
        folded="a",
        updated="2026-01-01T00:00:00Z",
        raw=b"{}",
    )
    await insert(database, "positions", topic=ITEMS, partition=0, log="log", next=2)
    await insert(
        database, "outbox", topic="t", key=b"k", value=b"v", headers=b"\x90", not_before=0.0
    )


async def fill_access(database: Database) -> None:
    for key in KEYS:
        facts = {
            "prefix": key.prefix,
            "digest": key.digest,
            "org_id": key.org_id,
            "scope": key.scope,
            "name": key.name,
        }
        times = {
            "created": key.created_at,
            "expires": key.expires_at,
            "last_used": key.last_used_at,
        }
        await insert(database, "api_keys", **facts, **times, revoked=key.revoked_at)
    facts = {"id": SESSION.id, "prefix": SESSION.prefix}
    await insert(database, "sessions", **facts, created=SESSION.created_at, used=SESSION.used_at)


async def test_keys_and_sessions_are_kept_and_all_else_is_read_again(place: Path | Schema) -> None:
    async with at_revision(place, SCRIPTS, "0003") as database:
        await fill_read_model(database)
        await fill_access(database)
        await database.migrate(SCRIPTS)
        await check(database, SCRIPTS)
        async with database.read() as db:
            assert await queries.find_keys(db, org="o") == list(KEYS)
            assert await queries.get_session(db, "s1") == SESSION
            assert await connections.find(db) == []
            assert await syncs.get(db, "s") is None
            assert (await items.page(db, ItemQuery())).items == []
            assert await store.load_positions(db, ITEMS, "log") == {}
            assert (await db.execute(text("SELECT count(*) FROM outbox"))).scalar_one() == 0


async def test_the_first_version_of_all_is_brought_up_to_date_too(place: Path | Schema) -> None:
    async with at_revision(place, SCRIPTS, "0001") as database:
        await fill_read_model(database)
        await database.migrate(SCRIPTS)
        await check(database, SCRIPTS)
        async with database.read() as db:
            assert (await items.page(db, ItemQuery())).items == []
