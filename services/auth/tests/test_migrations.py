"""An upgrade keeps what a former version stored: connections, sealed tokens, open flows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import text

from services.auth import credentials, store
from shared.db import Database, Schema
from tests.contract.migrating import at_revision, check

SCRIPTS = "services.auth:migrations"
CONNECTION = {
    "id": "c",
    "version": 3,
    "generation": 1,
    "org_id": "o",
    "user_id": "u",
    "provider": "plums",
    "client_id": "k",
    "account_id": "a",
    "account_name": "Größe",
    "grantee": "",
    "status": "active",
    "reason": None,
    "scopes": '["read"]',
    "resources": '["plums"]',
    "epoch": 2,
    "sync_id": "s",
    "created": "2026-01-01T00:00:00Z",
    "updated": "2026-01-02T00:00:00Z",
}
CREDENTIALS = {
    "connection_id": "c",
    "access_sealed": "sealed-1",
    "access_expires": 1e10,
    "refresh_sealed": "sealed-2",
    "refresh_expires": None,
    "fingerprint": "f",
    "attempt_id": None,
    "attempt_fingerprint": None,
    "refresh_until": 0.0,
    "replays": 0,
    "failures": 0,
    "retry_at": 0.0,
    "last_used": 1.0,
}


async def insert(database: Database, table: str, row: dict[str, Any]) -> None:
    given = ", ".join(f":{name}" for name in row)
    async with database.write() as db:
        await db.execute(text(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({given})"), row)


async def test_connections_and_their_tokens_are_kept(place: Path | Schema) -> None:
    async with at_revision(place, SCRIPTS, "0001") as database:
        await insert(database, "connections", CONNECTION)
        await insert(database, "credentials", CREDENTIALS)
        await database.migrate(SCRIPTS)
        await check(database, SCRIPTS)
        async with database.read() as db:
            found = await store.get_connection(db, "c")
            assert found is not None
            assert (found.version, found.account.name, found.scopes) == (3, "Größe", ("read",))
            assert (found.token_version, found.created_at, found.paused) == (
                2,
                CONNECTION["created"],
                False,
            )
            kept = await credentials.get(db, "c")
            assert kept is not None
            assert (kept.access_sealed, kept.refresh_sealed) == ("sealed-1", "sealed-2")
            assert (kept.access_expires_at, kept.last_used_at) == (1e10, 1.0)
