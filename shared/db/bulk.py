"""Many rows with one statement, past SQLAlchemy's work on each parameter (a third of the cost of a hundred rows)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

_VALUES = re.compile(r"VALUES \([^)]*\)")
_PARAMETERS = re.compile(r"\$\d+")


class Bulk:
    """An upsert of ``sqlalchemy.dialects.postgresql``, whose ON CONFLICT SQLite understands as it is.

    ``columns`` are its parameters, in the order in which a row has to give them. No two rows may have the same key.
    """

    def __init__(self, statement: Insert) -> None:
        compiled: Any = statement.compile(dialect=sqlite.dialect(paramstyle="qmark"))
        self.columns: tuple[str, ...] = tuple(compiled.positiontup or ())
        self._rows_sql = str(compiled)
        types = [statement.table.c[name].type for name in self.columns if name in statement.table.c]
        self._arrays_sql = _from_arrays(self._rows_sql, types)

    async def run(self, db: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> int:
        """How many rows were written: those that the statement's condition let pass."""
        if not rows:
            return 0
        if db.dialect.name == "sqlite":
            return (await db.exec_driver_sql(self._rows_sql, list(rows))).rowcount
        columns = tuple(list(column) for column in zip(*rows, strict=True))
        return (await db.exec_driver_sql(self._arrays_sql, columns)).rowcount


def _from_arrays(sql: str, types: Sequence[Any]) -> str:
    """One array per column instead of a list of rows: PostgreSQL plans it once, and says how many rows it wrote."""
    dialect: PGDialect_asyncpg = postgresql.asyncpg.dialect()  # type: ignore[no-untyped-call]
    names = (one.compile(dialect=dialect).partition(" COLLATE")[0] for one in types)
    arrays = ", ".join(f"${number}::{name}[]" for number, name in enumerate(names, 1))
    made, count = _VALUES.subn(f"SELECT * FROM unnest({arrays})", sql)  # noqa: S608  # numbers and names of types
    if count != 1 or "?" in made or len(_PARAMETERS.findall(made)) != len(types):
        raise ValueError(f"this upsert has parameters outside its values: {sql}")
    # A row that stands in a SELECT has to be told apart from a join before ON CONFLICT.
    return made.replace(" ON CONFLICT", " WHERE true ON CONFLICT", 1)
