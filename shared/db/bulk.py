"""Many rows with one statement, past SQLAlchemy's work on each parameter (a third of the cost of a hundred rows)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Executable
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.asyncio import AsyncConnection


class Bulk:
    """``columns`` are the parameters of ``statement``, in the order in which a row has to give them."""

    def __init__(self, statement: Executable) -> None:
        compiled: Any = statement.compile(dialect=sqlite.dialect(paramstyle="qmark"))  # type: ignore[attr-defined]  # every statement compiles
        self._sql = str(compiled)
        self.columns: tuple[str, ...] = tuple(compiled.positiontup or ())

    async def run(self, db: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> None:
        if rows:
            await db.exec_driver_sql(self._sql, list(rows))
