"""Run Alembic on a connection of ours, and record the version of the layout beside it."""

from __future__ import annotations

from typing import Final

import structlog
from alembic import command, context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    Column,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    delete,
    insert,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateSchema

from shared.layout import LAYOUT, SQLITE_TABLES, recorded, require_layout

layout: Final = Table("layout", MetaData(), Column("version", Integer, nullable=False))
"""One row. It belongs to no service: it stands beside Alembic's own table."""
installation: Final = Table("installation", MetaData(), Column("id", String, nullable=False))
"""One row, beside it."""

_OURS: Final = (layout.name, installation.name)
_PATIENT: Final = text(
    "SELECT set_config('lock_timeout', '60s', true), set_config('statement_timeout', '0', true)"
)
_ALONE: Final = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
_THERE: Final = text("SELECT 1 FROM pg_namespace WHERE nspname = :name")
_TABLES: Final = {
    "sqlite": text(SQLITE_TABLES),
    "postgresql": text("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"),
}

log = structlog.get_logger()


async def prepare(db: AsyncConnection, schema: str) -> None:
    """Wait for other processes that migrate ``schema``, and create it if missing.

    PostgreSQL only.
    """
    await db.execute(_PATIENT)
    await db.execute(_ALONE, {"name": f"{schema}:migrations"})
    if (await db.execute(_THERE, {"name": schema})).first() is None:
        await db.execute(CreateSchema(schema))


async def migrate(db: AsyncConnection, script_location: str, store: str) -> None:
    """Bring the tables to their newest revision in the caller's transaction.

    ``store`` names the tables in messages.

    Raises:
        LayoutRefused: they have another layout; nothing was changed.
    """
    found = await layout_of(db)
    if found is not None:
        require_layout(found, store)
    await bring_to_head(db, script_location)
    if found is None:
        await set_layout(db, LAYOUT)


async def bring_to_head(db: AsyncConnection, script_location: str) -> None:
    """Run Alembic's migrations whatever the layout; leave a newer schema as it is."""
    await db.run_sync(_upgrade, script_location)


async def layout_of(db: AsyncConnection) -> int | None:
    """Return the layout of the tables here, None if there are none."""
    tables = await _tables(db)
    row = (await db.execute(select(layout.c.version))).first() if layout.name in tables else None
    return recorded(tables, None if row is None else (row.version,))


async def set_layout(db: AsyncConnection, version: int) -> None:
    """Record the layout of the tables, in the transaction that gives it to them."""
    await db.run_sync(lambda inner: layout.create(inner, checkfirst=True))
    await db.execute(delete(layout))
    await db.execute(insert(layout).values(version=version))


async def installation_of(db: AsyncConnection) -> str | None:
    """Return the installation that the tables here belong to, None if that is not recorded."""
    if installation.name not in await _tables(db):
        return None
    return (await db.execute(select(installation.c.id))).scalar()


async def set_installation(db: AsyncConnection, id_: str) -> None:
    """Record the installation that the tables belong to."""
    await db.run_sync(lambda inner: installation.create(inner, checkfirst=True))
    await db.execute(delete(installation))
    await db.execute(insert(installation).values(id=id_))


async def _tables(db: AsyncConnection) -> set[str]:
    return set((await db.execute(_TABLES[db.dialect.name])).scalars())


async def drop_tables(db: AsyncConnection) -> None:
    """Drop all tables here, including Alembic's and the one with the layout."""
    present = MetaData()
    await db.run_sync(present.reflect)
    await db.run_sync(present.drop_all)


def alembic_config(connection: Connection, script_location: str) -> Config:
    """Return Alembic's configuration for commands on this connection."""
    config = Config()
    config.set_main_option("script_location", script_location)
    config.attributes["connection"] = connection
    return config


def run_migrations(metadata: MetaData) -> None:
    """Migrate on the connection that ``Database.migrate`` holds.

    Each service's ``migrations/env.py`` calls this.
    """
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        render_as_batch=True,
        transactional_ddl=True,
        include_name=lambda name, kind, _parents: kind != "table" or name not in _OURS,
    )
    context.run_migrations()


def _upgrade(connection: Connection, script_location: str) -> None:
    config = alembic_config(connection, script_location)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    present = MigrationContext.configure(connection).get_current_revision()
    if present is not None and present not in known:
        log.warning("schema_is_newer", revision=present, at=script_location)
        return
    command.upgrade(config, "head")
