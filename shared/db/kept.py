"""Connections that are kept: opening one per transaction costs more than most statements."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


class Kept:
    """At most ``size`` connections of an engine, each used by one task at a time."""

    def __init__(self, engine: AsyncEngine, *, size: int) -> None:
        self._engine = engine
        self._idle: list[tuple[AsyncConnection, Any]] = []
        self._permits = asyncio.Semaphore(size)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        """One without a transaction; whatever transaction is left on it at the end is rolled back."""
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
            await _gone(connection)
        self._idle.clear()
        await self._engine.dispose()

    async def _open(self) -> tuple[AsyncConnection, Any]:
        while self._idle:
            connection, driver = self._idle.pop()
            if not driver.is_closed():
                return connection, driver
            await _gone(connection)  # the server went away meanwhile
        connection = await self._engine.connect()
        return connection, (await connection.get_raw_connection()).driver_connection

    async def _after_error(self, connection: AsyncConnection, driver: Any) -> None:
        """Kept only if it is certain that nothing of it is left open, also when the task is cancelled again."""
        if not connection.invalidated and not driver.is_closed():
            with suppress(SQLAlchemyError, OSError):
                await connection.rollback()
                self._idle.append((connection, driver))
                return
        await asyncio.shield(_gone(connection))


async def _gone(connection: AsyncConnection) -> None:
    with suppress(SQLAlchemyError, OSError, TimeoutError):
        await connection.invalidate()
    with suppress(SQLAlchemyError, OSError, TimeoutError):
        await connection.close()
