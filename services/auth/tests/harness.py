"""Run auth's verbs on a migrated database, with a fake provider and a movable clock."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import select

from services.auth.connect import finish_flow, open_flow, start_flow
from services.auth.context import AuthContext
from services.auth.oauth_client import TokenEndpoint
from services.auth.refresh import RefreshCoordinator, access_token
from services.auth.tables import outbox
from services.auth.tests.fake_provider import FakeProvider
from shared.contracts.auth import AccessToken, Callback, CallbackResult, Flow, StartFlow
from shared.contracts.connections import Connection
from shared.contracts.envelope import Headers
from shared.crypto import KeyRing
from shared.db import Database
from shared.http import HttpClient

KEY = KeyRing({"k1": b"k" * 32}, writing="k1")


@dataclass
class Clock:
    now: float = field(default_factory=time.time)
    asked: int = 0

    def __call__(self) -> float:
        self.asked += 1
        return self.now


@dataclass
class Auth:
    context: AuthContext
    fake: FakeProvider
    clock: Clock
    coordinator: RefreshCoordinator

    @property
    def slug(self) -> str:
        return self.fake.runtime.provider.slug

    def another_process(self) -> Auth:
        """Return another process's auth: the same database and provider, nothing else."""
        return replace(self, coordinator=RefreshCoordinator(self.context))

    async def start(self, org: str = "o1", user: str = "u1") -> Flow:
        return await start_flow(
            StartFlow(provider=self.slug, org_id=org, user_id=user), context=self.context
        )

    async def come_back(self, flow: Flow, **changes: Any) -> Callback:
        """Open the link in a browser and consent;

        ``changes`` go to the provider (account, decision).
        """
        opened = await open_flow(flow.flow_id, context=self.context)
        params = self.fake.consent(opened.authorize_url, **changes)
        return Callback(provider=self.slug, params=params, cookies={flow.flow_id: opened.cookie})

    async def finish(self, callback: Callback) -> CallbackResult:
        return await finish_flow(callback, context=self.context)

    async def connect(self, org: str = "o1", user: str = "u1", account: str = "a1") -> Connection:
        result = await self.finish(
            await self.come_back(await self.start(org, user), account=account)
        )
        assert result.connection is not None, result.error
        return result.connection

    async def token(self, connection: Connection, stale_version: int | None = None) -> AccessToken:
        return await access_token(
            connection.id, stale_version, coordinator=self.coordinator, context=self.context
        )

    async def events(self) -> list[tuple[str, Connection]]:
        """Return (kind, snapshot) of everything appended, in order."""
        async with self.context.database.read() as db:
            rows = (await db.execute(select(outbox).order_by(outbox.c.id))).all()
        found = []
        for row in rows:
            headers = dict(msgspec.msgpack.decode(row.headers, type=Headers))
            snapshot = msgspec.json.decode(row.value, type=Connection)
            assert row.key.decode() == snapshot.id
            found.append((headers["ce_type"].decode().removeprefix("tributary."), snapshot))
        return found


@asynccontextmanager
async def open_auth(folder: Path, fake: FakeProvider) -> AsyncIterator[Auth]:
    database, http, clock = Database(folder / "auth.db"), HttpClient(transport=fake), Clock()
    await database.migrate("services.auth:migrations")
    endpoint = TokenEndpoint(fake.runtime, http, clock=clock)
    context = AuthContext(
        database=database,
        keyring=KEY,
        endpoints={fake.runtime.provider.slug: endpoint},
        public_url="http://localhost:8000",
        clock=clock,
    )
    coordinator = RefreshCoordinator(context)
    try:
        yield Auth(context, fake, clock, coordinator)
    finally:
        fake.gate.set()
        await coordinator.stop()
        await http.aclose()
        await database.close()
