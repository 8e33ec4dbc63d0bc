"""Open connections to either database, and keep them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit, urlunsplit

import msgspec
from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from shared.db.sqlite_driver import InlineConnection, connect
from shared.settings import SecretStr

CONNECT_S: Final = 5.0
LOCK_S: Final = 2.0
IDLE_S: Final = 10.0
COMMAND_S: Final = 30.0
SESSION: Final = {
    "statement_timeout": "20s",
    "jit": "off",
    # A cached plan made while a table was small would still be used when it has grown.
    "plan_cache_mode": "force_custom_plan",
}


class Schema(msgspec.Struct, frozen=True, kw_only=True):
    """A schema of a PostgreSQL database, created if missing. ``url`` is ``postgresql://…``.

    ``connect_s`` is how many seconds opening a connection may take, ``lock_s`` how many a statement
    waits for a lock, ``idle_s`` how many a process may pause in a transaction. It keeps its locks
    meanwhile, and others wait for them.
    """

    url: SecretStr
    name: str
    connect_s: float = CONNECT_S
    lock_s: float = LOCK_S
    idle_s: float = IDLE_S

    def for_driver(self) -> str:
        """Return the URL as SQLAlchemy takes it for asyncpg."""
        parts = urlsplit(self.url.reveal())
        query = parts.query.replace("sslmode=", "ssl=")
        return urlunsplit(parts._replace(scheme="postgresql+asyncpg", query=query))


Location = Path | Schema
"""The home of a service's tables: an SQLite file, or a schema of a PostgreSQL database."""


def store_name(location: Location) -> str:
    """Return a name for the tables at ``location`` that can begin a sentence."""
    if isinstance(location, Schema):
        return f"The schema {location.name} of the database"
    return f"The database {location}"


def sqlite_engine(path: Path, begin: str, *, durable: bool) -> AsyncEngine:
    """Return an engine whose transactions start with the statement ``begin``.

    SQLAlchemy's own way starts none before the first write, and so loses updates without an error.
    """

    def opened(*_arguments: Any, **_options: Any) -> Coroutine[Any, Any, InlineConnection]:
        return connect(path, durable=durable)

    engine = create_async_engine(
        f"sqlite+aiosqlite:///{path}", poolclass=NullPool, connect_args={"async_creator_fn": opened}
    )

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        driver = cast("InlineConnection", connection.connection.driver_connection)
        try:
            # Straight to the driver: through SQLAlchemy it costs four times as much.
            driver.begin(begin)
        except sqlite3.OperationalError as error:  # SQLAlchemy wraps no error raised here
            raise OperationalError(begin, None, error) from error

    return engine


def postgresql_engine(
    schema: Schema, *, readonly: bool, command_s: float | None = COMMAND_S
) -> AsyncEngine:
    """Return an engine for ``schema``.

    With ``readonly``, a transaction sees one state of the database from its first statement to its
    last.
    """
    engine = create_async_engine(
        schema.for_driver(),
        poolclass=NullPool,
        connect_args={
            "timeout": schema.connect_s,
            "command_timeout": command_s,
            "server_settings": {
                **SESSION,
                "lock_timeout": f"{schema.lock_s:.0f}s",
                "idle_in_transaction_session_timeout": f"{schema.idle_s:.0f}s",
                "search_path": schema.name,
                "application_name": f"tributary {schema.name}",
            },
        },
    )
    if not readonly:
        return engine
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


class ConnectionPool:
    """Keep at most ``size`` connections of an engine, each used by one task at a time.

    Opening one for each transaction would cost more than most statements.
    """

    def __init__(self, engine: AsyncEngine, *, size: int) -> None:
        self._engine = engine
        self._idle: list[tuple[AsyncConnection, Any]] = []
        self._permits = asyncio.Semaphore(size)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection without a transaction; roll back whatever is left on it."""
        async with self._permits:
            connection, driver = await self._open()
            try:
                yield connection
                await connection.rollback()
            except BaseException:
                await self._after_error(connection, driver)
                raise
            self._idle.append((connection, driver))

    async def close(self) -> None:
        for connection, _ in self._idle:
            await _discard(connection)
        self._idle.clear()
        await self._engine.dispose()

    async def _open(self) -> tuple[AsyncConnection, Any]:
        while self._idle:
            connection, driver = self._idle.pop()
            if not driver.is_closed():
                return connection, driver
            await _discard(connection)  # the server has closed it meanwhile
        connection = await self._engine.connect()
        return connection, (await connection.get_raw_connection()).driver_connection

    async def _after_error(self, connection: AsyncConnection, driver: Any) -> None:
        """Keep the connection only if certainly nothing of it is left open.

        That has to hold even if the task is cancelled again meanwhile.
        """
        if not connection.invalidated and not driver.is_closed():
            with suppress(SQLAlchemyError, OSError):
                await connection.rollback()
                self._idle.append((connection, driver))
                return
        await asyncio.shield(_discard(connection))


async def _discard(connection: AsyncConnection) -> None:
    with suppress(SQLAlchemyError, OSError, TimeoutError):
        await connection.invalidate()
    with suppress(SQLAlchemyError, OSError, TimeoutError):
        await connection.close()
