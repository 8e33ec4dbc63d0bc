"""One write transaction at a time on SQLite, reads beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, MetaData, event, pool
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from shared.db.inline import InlineConnection, connect

READERS = 4


class Database:
    """Two doors to one database.

    ``write()`` is a transaction that commits at its end and rolls back on any error (cancellation included); its
    commits are told to ``on_commit`` listeners. Nothing may be awaited inside but the connection itself: no network,
    no Kafka. ``read()`` sees what is committed. ``durable`` makes every commit survive a power cut, not only a killed
    process.
    """

    def __init__(self, path: Path, *, durable: bool = False) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = _engine(path, "BEGIN IMMEDIATE", size=1, durable=durable)
        self._reader = _engine(path, "BEGIN", size=READERS, durable=durable)
        self._turn = asyncio.Lock()
        self._listeners: list[Callable[[], None]] = []

    def on_commit(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        async with self._turn, self._writer.begin() as connection:
            yield connection
        for listener in self._listeners:
            listener()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        async with self._reader.connect() as connection:
            yield connection

    async def migrate(self, script_location: str) -> None:
        """Bring the schema to its newest revision; ``script_location`` is a package: ``services.auth:migrations``."""
        async with self._turn, self._writer.begin() as connection:
            await connection.run_sync(_upgrade, script_location)

    async def close(self) -> None:
        await self._writer.dispose()
        await self._reader.dispose()


def _engine(path: Path, begin: str, *, size: int, durable: bool) -> AsyncEngine:
    def opened(*_arguments: Any, **_options: Any) -> Coroutine[Any, Any, InlineConnection]:
        return connect(path, durable=durable)

    engine = create_async_engine(
        f"sqlite+aiosqlite:///{path}",
        poolclass=pool.AsyncAdaptedQueuePool,
        pool_size=size,
        max_overflow=0,
        connect_args={"async_creator_fn": opened},
    )

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        """SQLAlchemy's own BEGIN on SQLite loses updates without an error."""
        connection.exec_driver_sql(begin)

    return engine


def _upgrade(connection: Connection, script_location: str) -> None:
    config = Config()
    config.set_main_option("script_location", script_location)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def run_migrations(metadata: MetaData) -> None:
    """What each service's ``migrations/env.py`` calls: migrate on the connection that ``Database.migrate`` holds."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        render_as_batch=True,
        transactional_ddl=True,
    )
    context.run_migrations()
