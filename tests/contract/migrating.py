"""Share what the tests of every service's migrations do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Inspector, inspect, text
from sqlalchemy.schema import CreateSchema

from shared.db import Database, Schema, alembic_config, set_layout
from shared.layout import LAYOUT


@asynccontextmanager
async def at_revision(place: Path | Schema, scripts: str, revision: str) -> AsyncIterator[Database]:
    """Yield an open database with the tables of a former version, marked with today's layout."""
    database = Database(place)
    try:
        async with database.write() as db:
            if isinstance(place, Schema):
                await db.execute(CreateSchema(place.name))
            await db.run_sync(
                lambda connection: command.upgrade(alembic_config(connection, scripts), revision)
            )
            await set_layout(db, LAYOUT)
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def migrated(place: Path | Schema, scripts: str) -> AsyncIterator[Database]:
    database = Database(place)
    try:
        await database.migrate(scripts)
        yield database
    finally:
        await database.close()


async def revision_of(database: Database) -> str | None:
    async with database.read() as db:
        return await db.run_sync(
            lambda connection: MigrationContext.configure(connection).get_current_revision()
        )


def newest(scripts: str) -> str | None:
    config = Config()
    config.set_main_option("script_location", scripts)
    return ScriptDirectory.from_config(config).get_current_head()


async def check(database: Database, scripts: str) -> None:
    """Run ``alembic check``, which raises when the tables are not those of the code."""
    async with database.write() as db:
        await db.run_sync(lambda connection: command.check(alembic_config(connection, scripts)))


async def marked(database: Database, revision: str) -> None:
    async with database.write() as db:
        await db.execute(
            text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision}
        )


def _table_shape(seen: Inspector, table: str) -> dict[str, Any]:
    columns = seen.get_columns(table)
    indexes = seen.get_indexes(table)
    return {
        "columns": [(one["name"], str(one["type"]), one["nullable"]) for one in columns],
        "key": seen.get_pk_constraint(table)["constrained_columns"],
        "indexes": sorted((one["name"] or "", tuple(one["column_names"])) for one in indexes),
    }


async def shape(database: Database) -> dict[str, dict[str, Any]]:
    """Return table → its columns, keys and indexes, as the database tells them."""

    def looked_up(connection: Connection) -> dict[str, dict[str, Any]]:
        seen = inspect(connection)
        return {table: _table_shape(seen, table) for table in seen.get_table_names()}

    async with database.read() as db:
        return await db.run_sync(looked_up)
