"""Of all processes on a database one leads, and another one does when it is gone; news reach all of them."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from sqlalchemy import MetaData

from shared.db import Database, Schema, mark_news
from shared.db.lead import Lead, lead
from shared.settings import SecretStr
from tests.contract.children import child, done, says, until
from tests.contract.tables import metadata
from tests.servers.places import tables_of

IDLE_S = 1.5


async def test_one_leads_and_another_when_the_first_has_left(database: Database, another: Database) -> None:
    assert [await database.lead.held(), await another.lead.held(), await database.lead.held()] == [True, False, True]
    assert [database.lead.sure(), another.lead.sure()] == [True, False]
    await database.lead.close()
    assert not database.lead.sure()
    assert await another.lead.held()
    assert not await database.lead.held()


async def test_when_the_leading_process_dies_another_one_leads(database: Database, place: Path | Schema) -> None:
    async with child(place, "lead", "10") as other:
        assert await says(other) == "leads"
        assert not await database.lead.held()
        other.kill()
        await asyncio.wait_for(other.wait(), 20)
        await until(database.lead.held)


async def test_a_leader_that_was_paused_too_long_leads_no_more_and_knows_it_when_it_wakes(schema: Schema) -> None:
    mine = lead(schema, lambda: None, idle_s=IDLE_S)
    async with child(schema, "lead", str(IDLE_S)) as other:
        assert await says(other) == "leads"
        os.kill(other.pid, signal.SIGSTOP)
        await until(mine.held)
        os.kill(other.pid, signal.SIGCONT)
        assert await says(other) == "stands by"
        assert mine.sure()
    await mine.close()


async def test_a_leader_is_not_sure_for_long_without_asking(schema: Schema) -> None:
    mine = lead(schema, lambda: None, idle_s=0.5)
    assert await mine.held()
    assert mine.sure()
    await asyncio.sleep(0.25)
    assert not mine.sure(), "well before another one could lead"
    assert await mine.held()
    assert mine.sure()
    await mine.close()


async def test_a_leader_whose_session_was_ended_asks_anew(schema: Schema) -> None:
    async with tables_of(metadata, schema) as database, tables_of(MetaData(), another_schema(schema)) as another:
        assert await database.lead.held()
        async with another.write() as db:
            sessions = f"pg_stat_activity WHERE application_name = 'tributary {schema.name} lead'"
            await db.exec_driver_sql(f"SELECT pg_terminate_backend(pid) FROM {sessions}")
        third = lead(schema, lambda: None)
        await until(third.held)
        await until(lambda: unsure(database.lead))
        assert not await database.lead.held()
        await third.close()


async def test_news_of_other_processes_reach_whoever_has_asked_for_the_lead(schema: Schema) -> None:
    listening, writing = Database(schema), Database(schema)
    heard = asyncio.Event()
    try:
        async with writing.write() as db:
            await db.exec_driver_sql(f"CREATE SCHEMA {schema.name}")
        listening.on_commit(lambda news: heard.set() if news else None)
        assert await listening.lead.held()
        async with writing.write():
            pass
        async with asyncio.timeout(20), writing.write() as db:
            mark_news(db)
        async with asyncio.timeout(20):
            await heard.wait()
        heard.clear()
        writing.announces = False
        async with writing.write() as db:
            mark_news(db)
        async with asyncio.timeout(20), writing.read() as db:
            await db.exec_driver_sql("SELECT 1")
        assert not heard.is_set(), "who acts on its news itself need not tell"
    finally:
        await listening.close()
        await writing.close()


async def test_news_of_another_process_too(schema: Schema) -> None:
    heard = asyncio.Event()
    async with tables_of(metadata, schema) as database:
        database.on_commit(lambda news: heard.set() if news else None)
        assert await database.lead.held()
        async with child(schema, "put", "k", "0", "1") as other:
            await done(other)
        async with asyncio.timeout(20):
            await heard.wait()


async def unsure(asking: Lead) -> bool:
    return not asking.sure()


def another_schema(schema: Schema) -> Schema:
    return Schema(url=schema.url, name=f"{schema.name}_2")


async def test_a_database_whose_url_asks_for_a_kind_of_tls_has_a_leader_too(schema: Schema) -> None:
    mine = lead(Schema(url=SecretStr(f"{schema.url.reveal()}?sslmode=prefer"), name=schema.name), lambda: None)
    assert await mine.held()
    await mine.close()
