"""A gateway that asks for keys, with two organisations on it."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import delete, select, update

from services.gateway.security.keys import create_key, revoke_key
from services.gateway.tables import api_keys, sessions
from services.gateway.tests.declared import only_declared_errors
from services.gateway.tests.fake_auth import FakeAuth
from services.gateway.tests.serving import SECRET, Gateway, running_broker, running_gateway
from shared.contracts.connections import Connection
from shared.crypto import hash_token
from shared.db import Database
from tests.support.waiting import PATIENCE_S

OWN, OTHER = "own", "other"
PAGES = {"pages": [{"id": "1", "name": "Plan"}, {"id": "2", "name": "Notes"}]}
_ADDRESSES = itertools.count(2)


@dataclass
class Locked:
    """A gateway with keys; ``own`` and ``other`` are a synced connection of each organisation."""

    gateway: Gateway
    database: Database
    own: Connection
    other: Connection

    async def key(self, scope: str = "read", *, org: str = OWN, **more: Any) -> str:
        made = await create_key(org=org, scope=scope, database=self.database, **more)
        return made.written.reveal()

    async def revoked(self, scope: str = "admin", *, org: str = OWN) -> str:
        key = await self.key(scope, org=org)
        await revoke_key(prefix(key), org=None, database=self.database)
        return key

    async def expired(self) -> str:
        key = await self.key("admin", expires_in_days=1)
        async with self.database.write() as db:
            past = (
                update(api_keys)
                .where(api_keys.c.prefix == prefix(key))
                .values(expires_at=time.time() - 1)
            )
            await db.execute(past)
        return key

    async def session(self, key: str) -> str:
        """Return the ``Cookie`` header of a browser that signed in with the key."""
        async with self.somewhere() as http:
            answer = await http.post("/console/sign-in", data={"key": key}, headers=self.here())
        assert answer.status_code == 303, answer.text
        return str(answer.headers["set-cookie"].partition(";")[0])

    async def idle(self, cookie: str, *, hours: float) -> None:
        """Make the session look unused for that long."""
        id_ = hash_token(cookie.partition("=")[2])
        async with self.database.write() as db:
            past = (
                update(sessions)
                .where(sessions.c.id == id_)
                .values(used_at=time.time() - hours * 3600)
            )
            assert (await db.execute(past)).rowcount == 1

    def here(self) -> dict[str, str]:
        """Return the headers that a browser sends with a form of our own page."""
        return {"origin": self.gateway.url, "sec-fetch-site": "same-origin"}

    @asynccontextmanager
    async def somewhere(self) -> AsyncIterator[httpx.AsyncClient]:
        """Return a client at an address of its own, since failures are counted per address."""
        number = next(_ADDRESSES)
        transport = httpx.AsyncHTTPTransport(
            local_address=f"127.0.{number // 250}.{number % 250 + 2}"
        )
        url = self.gateway.url.replace("localhost", "127.0.0.1")
        async with httpx.AsyncClient(
            transport=transport,
            base_url=url,
            timeout=PATIENCE_S,
            event_hooks={"response": [only_declared_errors]},
        ) as http:
            http.headers["host"] = self.gateway.url.partition("://")[2]
            yield http


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def prefix(key: str) -> str:
    return key.split("_")[1]


@asynccontextmanager
async def running_locked(folder: Path, **change: Any) -> AsyncIterator[Locked]:
    async with (
        running_broker(folder) as (bootstrap, producer),
        running_gateway(
            folder, bootstrap, producer, FakeAuth(SECRET), keys_required=True, **change
        ) as gateway,
    ):
        database = Database(gateway.settings.database)
        keys = {
            org: await create_key(org=org, scope="admin", database=database) for org in (OWN, OTHER)
        }
        made = {
            org: await connected(gateway, org, key.written.reveal()) for org, key in keys.items()
        }
        yield Locked(gateway, database, made[OWN], made[OTHER])
        await database.close()


async def connected(gateway: Gateway, org: str, key: str) -> Connection:
    """Connect an account and sync it."""
    body = {"provider": "notion", "user_id": "demo"}
    started = await gateway.http.post("/v1/connect", json=body, headers=bearer(key))
    assert started.status_code == 200, started.text
    back = await gateway.come_back(started.json()["flow_id"], "notion", code=org)
    assert back.status_code == 200, back.text
    connection = gateway.auth.connections[max(gateway.auth.connections)]
    gateway.http.headers.update(bearer(key))
    await gateway.whole(connection, PAGES)
    del gateway.http.headers["authorization"]
    return connection


async def kept_sessions(database: Database) -> dict[str, float]:
    """Return stored session id → time of its last use."""
    async with database.read() as db:
        return {row.id: row.used_at for row in await db.execute(select(sessions))}


async def leave_idle(database: Database, *, hours: float) -> None:
    """Make all sessions look unused for that long."""
    async with database.write() as db:
        await db.execute(update(sessions).values(used_at=time.time() - hours * 3600))


async def end_sessions(database: Database) -> None:
    async with database.write() as db:
        await db.execute(delete(sessions))


async def expire_keys(database: Database) -> None:
    async with database.write() as db:
        await db.execute(update(api_keys).values(expires_at=time.time() - 1))
