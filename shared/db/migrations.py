"""Alembic on a connection of ours."""

from __future__ import annotations

from typing import Final

import structlog
from alembic import command, context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateSchema

_PATIENT: Final = text("SELECT set_config('lock_timeout', '60s', true), set_config('statement_timeout', '0', true)")
_ALONE: Final = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
_THERE: Final = text("SELECT 1 FROM pg_namespace WHERE nspname = :name")

log = structlog.get_logger()


async def migrate(db: AsyncConnection, script_location: str, schema: str | None) -> None:
    """In the caller's transaction; ``schema`` is made where it is missing (PostgreSQL only)."""
    if schema is not None:
        await db.execute(_PATIENT)
        await db.execute(_ALONE, {"name": f"{schema}:migrations"})
        if (await db.execute(_THERE, {"name": schema})).first() is None:
            await db.execute(CreateSchema(schema))
    await db.run_sync(_upgrade, script_location)


def alembic_config(connection: Connection, script_location: str) -> Config:
    """Return Alembic's configuration for the commands of this connection."""
    config = Config()
    config.set_main_option("script_location", script_location)
    config.attributes["connection"] = connection
    return config


def run_migrations(metadata: MetaData) -> None:
    """What each service's ``migrations/env.py`` calls: migrate on the connection that ``Database.migrate`` holds."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        render_as_batch=True,
        transactional_ddl=True,
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
