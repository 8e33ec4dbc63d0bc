"""Reading with statements that are compiled once: SQLAlchemy's work on each execution costs more than fifty rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
from sqlalchemy import Select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection


class Fetch:
    """A select for ``Database.read()``, run by the driver itself; no type of its columns may need converting.

    Outside the reading transaction when it comes first in it: several of these do not see one and the same state.
    """

    def __init__(self, statement: Select[Any]) -> None:
        self._sqlite, self._sqlite_names = _compiled(statement, sqlite.dialect(paramstyle="qmark"))
        self._postgresql, self._postgresql_names = _compiled(statement, postgresql.asyncpg.dialect())  # type: ignore[no-untyped-call]

    async def rows(self, db: AsyncConnection, given: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """``given`` may hold more than the statement's parameters. Raises ``OperationalError``."""
        driver: Any = (await db.get_raw_connection()).driver_connection
        if db.dialect.name == "sqlite":
            cursor = await driver.cursor().execute(self._sqlite, [given[name] for name in self._sqlite_names])
            found: Sequence[Sequence[Any]] = await cursor.fetchall()
            return found
        try:
            found = await driver.fetch(self._postgresql, *[given[name] for name in self._postgresql_names])
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise OperationalError(self._postgresql, None, error) from error
        return found


def _compiled(statement: Select[Any], dialect: Any) -> tuple[str, tuple[str, ...]]:
    compiled: Any = statement.compile(dialect=dialect)
    return str(compiled), tuple(compiled.positiontup or ())
