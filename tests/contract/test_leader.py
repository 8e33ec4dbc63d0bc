"""One process on a database leads, another when it is gone; notifications reach all of them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from sqlalchemy import MetaData

from shared.db import Database, Schema, notify_on_commit
from shared.db.leader import LeaderLock, leader_lock
from shared.settings import SecretStr
from tests.contract.children import child, done, says
from tests.contract.tables import metadata
from tests.servers.places import tables_of
from tests.support.waiting import PATIENCE_S, turns, until

IDLE_S = 1.5


async def test_one_leads_and_another_when_the_first_has_left(
    database: Database, another: Database
) -> None:
    assert await database.leader.acquire()
    assert not await another.leader.acquire()
    assert await database.leader.acquire()
    assert [database.leader.is_certain(), another.leader.is_certain()] == [True, False]
    await database.leader.close()
    assert not database.leader.is_certain()
    assert await another.leader.acquire()
    assert not await database.leader.acquire()


async def test_when_the_leading_process_dies_another_one_leads(
    database: Database, place: Path | Schema
) -> None:
    async with child(place, "lead", "10") as other:
        assert await says(other) == "leads"
        assert not await database.leader.acquire()
        other.kill()
        await other.wait()
        await until(database.leader.acquire)


async def test_a_leader_that_was_paused_too_long_leads_no_more_and_knows_it_when_it_wakes(
    schema: Schema,
) -> None:
    mine = leader_lock(schema, lambda: None, idle_s=IDLE_S)
    async with child(schema, "lead", str(IDLE_S)) as other:
        assert await says(other) == "leads"
        os.kill(other.pid, signal.SIGSTOP)
        await until(mine.acquire)
        os.kill(other.pid, signal.SIGCONT)
        assert await says(other) == "stands by"
        await until(lambda: asked_and_certain(mine))
    await mine.close()


async def test_a_leader_is_not_certain_for_long_without_asking(schema: Schema) -> None:
    mine = leader_lock(schema, lambda: None, idle_s=0.5)
    await until(lambda: asked_and_certain(mine))
    await until(lambda: not mine.is_certain())
    await until(lambda: asked_and_certain(mine))
    await mine.close()


async def asked_and_certain(lock: LeaderLock) -> bool:
    """Return whether the answer came soon enough to be certain of it: a busy machine is slow."""
    return await lock.acquire() and lock.is_certain()


async def test_a_leader_whose_session_was_ended_asks_anew(schema: Schema) -> None:
    async with (
        tables_of(metadata, schema) as database,
        tables_of(MetaData(), another_schema(schema)) as another,
    ):
        assert await database.leader.acquire()
        async with another.write() as db:
            found = f"pg_stat_activity WHERE application_name = '{leaders_of(schema)}'"
            await db.exec_driver_sql(f"SELECT pg_terminate_backend(pid) FROM {found}")
        third = leader_lock(schema, lambda: None)
        await until(third.acquire)
        await until(lambda: uncertain(database.leader))
        assert not await database.leader.acquire()
        await third.close()


async def test_a_caller_that_is_cut_off_while_it_asks_does_not_cost_the_lead(
    schema: Schema,
) -> None:
    mine, other = (leader_lock(schema, lambda: None) for _ in range(2))
    async with tables_of(metadata, schema) as database:
        assert await mine.acquire()
        (holder,) = await sessions(database, schema)
        os.kill(holder, signal.SIGSTOP)
        try:
            asking = await until(lambda: under_way(mine.acquire()))
            asking.cancel()
            await asyncio.wait([asking])
        finally:
            os.kill(holder, signal.SIGCONT)
        assert await mine.acquire()
        assert await sessions(database, schema) == [holder], "it still holds the lock"
        assert not await other.acquire()
        await mine.close()
        assert await other.acquire()
        await other.close()


async def under_way(asking: Coroutine[Any, Any, bool]) -> asyncio.Task[bool] | None:
    """Return the task if it has to ask the server, None if it knew the answer."""
    task = asyncio.create_task(asking)
    await turns()
    return None if task.done() else task


async def sessions(database: Database, schema: Schema) -> list[int]:
    """Return the server's processes that serve leaders of this schema."""
    wanted = f"SELECT pid FROM pg_stat_activity WHERE application_name = '{leaders_of(schema)}'"
    async with database.read() as db:
        return list((await db.exec_driver_sql(wanted)).scalars())


def leaders_of(schema: Schema) -> str:
    return f"tributary {schema.name} leader"


async def test_notifications_of_other_processes_reach_whoever_has_tried_to_lead(
    schema: Schema,
) -> None:
    listening, writing = Database(schema), Database(schema)
    heard = asyncio.Event()
    try:
        async with writing.write() as db:
            await db.exec_driver_sql(f"CREATE SCHEMA {schema.name}")
        listening.on_commit(lambda notified: heard.set() if notified else None)
        assert await listening.leader.acquire()
        async with writing.write():
            pass
        async with asyncio.timeout(PATIENCE_S), writing.write() as db:
            notify_on_commit(db)
        async with asyncio.timeout(PATIENCE_S):
            await heard.wait()
        heard.clear()
        writing.notifies_others = False
        async with writing.write() as db:
            notify_on_commit(db)
        async with asyncio.timeout(PATIENCE_S), writing.read() as db:
            await db.exec_driver_sql("SELECT 1")
        assert not heard.is_set(), "who acts on its own notifications need not tell others"
    finally:
        await listening.close()
        await writing.close()


async def test_notifications_of_a_separate_process_too(schema: Schema) -> None:
    heard = asyncio.Event()
    async with tables_of(metadata, schema) as database:
        database.on_commit(lambda notified: heard.set() if notified else None)
        assert await database.leader.acquire()
        async with child(schema, "put", "k", "0", "1") as other:
            await done(other)
        async with asyncio.timeout(PATIENCE_S):
            await heard.wait()


async def uncertain(asking: LeaderLock) -> bool:
    return not asking.is_certain()


def another_schema(schema: Schema) -> Schema:
    return Schema(url=schema.url, name=f"{schema.name}_2")


async def test_a_database_whose_url_asks_for_a_kind_of_tls_has_a_leader_too(schema: Schema) -> None:
    mine = leader_lock(
        Schema(url=SecretStr(f"{schema.url.reveal()}?sslmode=prefer"), name=schema.name),
        lambda: None,
    )
    assert await mine.acquire()
    await mine.close()
