"""One write transaction at a time on SQLite, reads beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, MetaData, event, pool
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from shared.db.inline import InlineConnection, connect

READERS = 4
NEWS = "news"


def mark_news(connection: AsyncConnection) -> None:
    """This transaction wrote something that somebody waits for: see ``Database.on_commit``."""
    connection.info[NEWS] = True


class Database:
    """Two doors to one database.

    ``write()`` is a transaction that commits at its end and rolls back on any error (cancellation included); its
    commits are told to ``on_commit`` listeners. Nothing may be awaited inside but the connection itself: no network,
    no Kafka. ``read()`` sees what is committed. ``durable`` makes every commit survive a power cut, not only a killed
    process. Connections are kept: opening one per transaction costs more than most statements.
    """

    def __init__(self, path: Path, *, durable: bool = False) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = _engine(path, "BEGIN IMMEDIATE", size=1, durable=durable)
        self._reader = _engine(path, "BEGIN", size=READERS, durable=durable)
        self._turn = asyncio.Lock()
        self._writing: AsyncConnection | None = None
        self._idle: list[AsyncConnection] = []
        self._reading = asyncio.Semaphore(READERS)
        self._listeners: list[Callable[[bool], None]] = []

    def on_commit(self, listener: Callable[[bool], None]) -> None:
        """Called after each commit, with whether the transaction called ``mark_news``."""
        self._listeners.append(listener)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        async with self._turn:
            if self._writing is None:
                self._writing = await self._writer.connect()
            connection = self._writing
            connection.info.pop(NEWS, None)
            async with connection.begin():
                yield connection
            news = bool(connection.info.pop(NEWS, False))
        for listener in self._listeners:
            listener(news)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        async with self._reading:
            connection = self._idle.pop() if self._idle else await self._reader.connect()
            try:
                yield connection
            finally:
                await connection.rollback()
                self._idle.append(connection)

    async def migrate(self, script_location: str) -> None:
        """Bring the schema to its newest revision; ``script_location`` is a package: ``services.auth:migrations``."""
        async with self.write() as connection:
            await connection.run_sync(_upgrade, script_location)

    async def close(self) -> None:
        for connection in (*self._idle, *([self._writing] if self._writing else [])):
            await connection.close()
        self._idle, self._writing = [], None
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
        driver = cast("InlineConnection", connection.connection.driver_connection)
        driver.begin(begin)  # straight to the driver: as a statement of SQLAlchemy it costs four times as much

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
