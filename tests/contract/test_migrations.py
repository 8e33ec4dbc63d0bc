"""Migrations alone make each service's schema and bring it up to date, on either database."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from alembic.util import CommandError
from sqlalchemy import text

from shared.db import Schema
from tests.contract.children import child, done
from tests.contract.migrating import check, marked, migrated, newest, revision_of, shape

SERVICES = ("auth", "fetcher", "gateway")


@pytest.fixture(params=SERVICES)
def scripts(request: pytest.FixtureRequest) -> str:
    return f"services.{request.param}:migrations"


async def test_from_nothing_to_the_tables_of_the_code(scripts: str, place: Path | Schema) -> None:
    async with migrated(place, scripts) as database:
        assert await revision_of(database) == newest(scripts)
        await check(database, scripts)
        before = await shape(database)
        await database.migrate(scripts)
        assert await shape(database) == before
        async with database.write() as db:
            await db.execute(text("ALTER TABLE outbox ADD COLUMN forgotten INTEGER"))
        with pytest.raises(CommandError, match="forgotten"):
            await check(database, scripts)


async def test_tables_that_a_newer_version_made_are_left_alone(
    scripts: str, place: Path | Schema
) -> None:
    async with migrated(place, scripts) as database:
        await marked(database, "9999")
        before = await shape(database)
        await database.migrate(scripts)
        assert await revision_of(database) == "9999"
        assert await shape(database) == before


async def test_several_processes_may_migrate_at_once(place: Path | Schema) -> None:
    scripts = "services.gateway:migrations"
    async with AsyncExitStack() as stack:
        others = [
            await stack.enter_async_context(child(place, "migrate", scripts)) for _ in range(3)
        ]
        await asyncio.gather(*map(done, others))
    async with migrated(place, scripts) as database:
        await check(database, scripts)


async def test_a_migration_that_fails_leaves_the_tables_as_they_were(place: Path | Schema) -> None:
    scripts = "services.gateway:migrations"
    async with migrated(place, scripts) as database:
        await marked(database, "0001")  # the next one makes tables that are there already
        before = await shape(database)
        with pytest.raises(Exception, match="exists"):
            await database.migrate(scripts)
        assert await shape(database) == before
        assert await revision_of(database) == "0001"


async def test_three_services_share_a_database_each_in_a_schema_of_its_own(schema: Schema) -> None:
    shapes = {}
    for service in SERVICES:
        mine = Schema(url=schema.url, name=f"{schema.name}_{service}")
        async with migrated(mine, f"services.{service}:migrations") as database:
            shapes[service] = await shape(database)
            async with database.read() as db:
                found = await db.execute(
                    text("SELECT count(*) FROM pg_tables WHERE schemaname = :name"),
                    {"name": mine.name},
                )
                assert found.scalar_one() == len(shapes[service])
    assert all("outbox" in one for one in shapes.values())
    assert "jobs" in shapes["fetcher"]
    assert "jobs" not in shapes["gateway"]
