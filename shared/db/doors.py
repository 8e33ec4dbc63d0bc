"""How connections to either database are opened."""

from __future__ import annotations

import sqlite3
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from shared.db.inline import InlineConnection, connect
from shared.db.place import Schema

CONNECT_S = 5.0
COMMAND_S = 30.0
SESSION = {
    "lock_timeout": "2s",
    "statement_timeout": "20s",
    "idle_in_transaction_session_timeout": "10s",  # of a process that was paused: others wait for its locks
    "jit": "off",
    "plan_cache_mode": "force_custom_plan",  # a plan made while a table was small would stay when it has grown
}


def sqlite(path: Path, begin: str, *, durable: bool) -> AsyncEngine:
    """``begin`` is the statement that starts a transaction: SQLAlchemy's own loses updates without an error."""

    def opened(*_arguments: Any, **_options: Any) -> Coroutine[Any, Any, InlineConnection]:
        return connect(path, durable=durable)

    engine = create_async_engine(
        f"sqlite+aiosqlite:///{path}", poolclass=NullPool, connect_args={"async_creator_fn": opened}
    )

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        driver = cast("InlineConnection", connection.connection.driver_connection)
        try:
            driver.begin(begin)  # straight to the driver: as a statement of SQLAlchemy it costs four times as much
        except sqlite3.OperationalError as error:  # nobody wraps what is raised here
            raise OperationalError(begin, None, error) from error

    return engine


def postgresql(schema: Schema, *, readonly: bool, command_s: float | None = COMMAND_S) -> AsyncEngine:
    """A reading transaction sees one state of the database from its first statement to its last."""
    engine = create_async_engine(
        schema.for_driver(),
        poolclass=NullPool,
        connect_args={
            "timeout": CONNECT_S,
            "command_timeout": command_s,
            "server_settings": {**SESSION, "search_path": schema.name, "application_name": f"tributary {schema.name}"},
        },
    )
    if not readonly:
        return engine
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
