"""Build statements that are the same on both databases.

Column types, the clock, and many keys or rows in one statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import asyncpg
import msgspec
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Float,
    Integer,
    Select,
    String,
    Text,
    bindparam,
    cast,
    func,
    select,
    true,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from shared import clock

Key: Final = String().with_variant(String(collation="C"), "postgresql")
"""Text to sort and page by, ordered by its bytes in every locale, as SQLite and Python order it."""
Big: Final = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits. SQLite's INTEGER always has them, and only a column of that very name can be an
autoincrementing primary key."""

_VALUES: Final = re.compile(r"VALUES \([^)]*\)")
_PARAMETERS: Final = re.compile(r"\$\d+")
_SQLITE_NOW: Final = "((julianday('now') - 2440587.5) * 86400.0)"
_POSTGRESQL_NOW: Final = "EXTRACT(EPOCH FROM clock_timestamp())::float8"
_OFFSET: Final = bindparam("clock_offset", callable_=clock.offset, type_=Float)


class machine_now(FunctionElement[float]):  # noqa: N801  # named like SQL's own functions
    """Epoch seconds, to the millisecond, by the clock of the database's machine.

    For heartbeats: they say that a process is running now, whatever a test does with the days.
    """

    type = Float()  # type: ignore[mutable-override]  # as SQLAlchemy's own functions do
    inherit_cache = True  # type: ignore[mutable-override]


class db_now(machine_now):  # noqa: N801  # named like SQL's own functions
    """Epoch seconds, to the millisecond, by the database's clock: hosts need not agree on the time.

    A test that moves the clock moves this too. Only for statements that SQLAlchemy runs: one
    compiled at import could not know that the clock can be moved.
    """

    inherit_cache = True


@compiles(machine_now)
def _machine_now_on_sqlite(_element: machine_now, _compiler: Any, **_options: Any) -> str:
    return _SQLITE_NOW


@compiles(machine_now, "postgresql")
def _machine_now_on_postgresql(_element: machine_now, _compiler: Any, **_options: Any) -> str:
    return _POSTGRESQL_NOW


@compiles(db_now)
def _now_on_sqlite(_element: db_now, compiler: Any, **options: Any) -> str:
    return _moved(_SQLITE_NOW, compiler, options)


@compiles(db_now, "postgresql")
def _now_on_postgresql(_element: db_now, compiler: Any, **options: Any) -> str:
    return _moved(_POSTGRESQL_NOW, compiler, options)


def _moved(sql: str, compiler: Any, options: Mapping[str, Any]) -> str:
    """Add the offset of a movable clock at each execution; leave it out otherwise."""
    if not clock.movable():
        return sql
    return f"({sql} + {compiler.process(_OFFSET, **options)})"


class in_array(FunctionElement[bool]):  # noqa: N801  # named like SQL's own functions
    """Write ``in_array(column, bindparam("ids"))``; ``json_array`` makes the parameter.

    It is one parameter for any number of values, so the statement is built and planned once.
    """

    type = Boolean()  # type: ignore[mutable-override]  # as SQLAlchemy's own functions do
    inherit_cache = True  # type: ignore[mutable-override]

    def __init__(self, column: ColumnElement[Any], parameter: ColumnElement[Any]) -> None:
        super().__init__(column, parameter)


def json_array(values: Iterable[str | int]) -> str:
    """Return the parameter of an ``in_array``."""
    return msgspec.json.encode(list(values)).decode()


@compiles(in_array)
def _in_array_on_sqlite(element: in_array, compiler: Any, **options: Any) -> str:
    column, parameter = (compiler.process(clause, **options) for clause in element.clauses)
    # Both are compiled clauses.
    return f"{column} IN (SELECT value FROM json_each({parameter}))"  # noqa: S608


@compiles(in_array, "postgresql")
def _in_array_on_postgresql(element: in_array, compiler: Any, **options: Any) -> str:
    column, parameter = (compiler.process(clause, **options) for clause in element.clauses)
    compared: Any = element.clauses.clauses[0].type
    kind = compared.compile(dialect=compiler.dialect).partition(" COLLATE")[0]
    values = f"SELECT CAST(json_array_elements_text(CAST({parameter} AS json)) AS {kind})"
    return f"{column} = ANY(ARRAY({values}))"


class KeyLookup:
    """Look up rows by primary key: many values of its last part, one value of each other part.

    PostgreSQL has no statistics of a lane that was just opened, assumes a single row, and then
    compares every row of the lane with every value: 20 ms for a page once there are ten thousand
    rows. ``OFFSET 0`` is a fence for the planner: behind it, it looks up one whole key at a time.
    """

    def __init__(self, *columns: Column[Any]) -> None:
        *others, last = columns[0].table.primary_key
        within = [column == bindparam(column.name) for column in others]
        ids = bindparam("ids", type_=Text)
        wanted = select(func.json_array_elements_text(cast(ids, JSON)).label("value")).subquery(
            "wanted"
        )
        found = select(*columns).where(*within, last == wanted.c.value).offset(0).lateral("found")
        self._statements: Mapping[str, Select[Any]] = {
            "sqlite": select(*columns).where(*within, in_array(last, ids)),
            "postgresql": select(found).select_from(wanted.join(found, true())),
        }

    async def rows(
        self, db: AsyncConnection, given: Mapping[str, Any], ids: Iterable[str]
    ) -> Sequence[Any]:
        """Return rows with ``columns``; ``given`` has the other parts of the key."""
        parameters = {**given, "ids": json_array(ids)}
        rows: Sequence[Any] = (
            await db.execute(self._statements[db.dialect.name], parameters)
        ).all()
        return rows


class CompiledSelect:
    """Compile a select for ``Database.read()`` once, and run it on the driver itself.

    SQLAlchemy's work on each execution costs more than fetching fifty rows. None of its columns may
    need a conversion. If it comes first in a transaction it runs outside of it, so several of these
    may see different states.
    """

    def __init__(self, statement: Select[Any]) -> None:
        self._sqlite, self._sqlite_names = _compiled(statement, sqlite.dialect(paramstyle="qmark"))
        asyncpg = postgresql.asyncpg.dialect()  # type: ignore[no-untyped-call]
        self._postgresql, self._postgresql_names = _compiled(statement, asyncpg)

    async def rows(self, db: AsyncConnection, given: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """Return the rows. Raise ``OperationalError`` if the database fails.

        ``given`` may hold more than the statement's parameters.
        """
        driver: Any = (await db.get_raw_connection()).driver_connection
        if db.dialect.name == "sqlite":
            cursor = await driver.cursor().execute(
                self._sqlite, [given[name] for name in self._sqlite_names]
            )
            found: Sequence[Sequence[Any]] = await cursor.fetchall()
            return found
        try:
            found = await driver.fetch(
                self._postgresql, *[given[name] for name in self._postgresql_names]
            )
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise OperationalError(self._postgresql, None, error) from error
        return found


def _compiled(statement: Select[Any], dialect: Any) -> tuple[str, tuple[str, ...]]:
    compiled: Any = statement.compile(dialect=dialect)
    return _without_clock(str(compiled)), tuple(compiled.positiontup or ())


def _without_clock(sql: str) -> str:
    if _SQLITE_NOW in sql or _POSTGRESQL_NOW in sql:
        raise ValueError(f"A statement compiled once cannot use db_now(): pass the time: {sql}")
    return sql


class BulkUpsert:
    """Run an upsert of ``sqlalchemy.dialects.postgresql``; SQLite understands its ON CONFLICT too.

    It bypasses SQLAlchemy's work on each parameter, which is a third of the cost of a hundred rows.
    ``columns`` are the parameters, in the order in which each row gives them. No two rows may have
    the same key.
    """

    def __init__(self, statement: Insert) -> None:
        compiled: Any = statement.compile(dialect=sqlite.dialect(paramstyle="qmark"))
        self.columns: tuple[str, ...] = tuple(compiled.positiontup or ())
        self._rows_sql = _without_clock(str(compiled))
        types = [statement.table.c[name].type for name in self.columns if name in statement.table.c]
        self._arrays_sql = _from_arrays(self._rows_sql, types)

    async def run(self, db: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> int:
        """Return the number of rows written: those that the statement's condition let pass."""
        if not rows:
            return 0
        if db.dialect.name == "sqlite":
            return (await db.exec_driver_sql(self._rows_sql, list(rows))).rowcount
        columns = tuple(list(column) for column in zip(*rows, strict=True))
        return (await db.exec_driver_sql(self._arrays_sql, columns)).rowcount


def _from_arrays(sql: str, types: Sequence[Any]) -> str:
    """Rewrite the upsert to take one array for each column instead of a list of rows.

    PostgreSQL then plans it once, and says how many rows it wrote.
    """
    dialect: PGDialect_asyncpg = postgresql.asyncpg.dialect()  # type: ignore[no-untyped-call]
    names = (one.compile(dialect=dialect).partition(" COLLATE")[0] for one in types)
    arrays = ", ".join(f"${number}::{name}[]" for number, name in enumerate(names, 1))
    # The arrays are numbers of parameters, and types.
    made, count = _VALUES.subn(f"SELECT * FROM unnest({arrays})", sql)  # noqa: S608
    if count != 1 or "?" in made or len(_PARAMETERS.findall(made)) != len(types):
        raise ValueError(f"An upsert may have parameters only in its VALUES: {sql}")
    # Without a WHERE, the parser takes ON after a SELECT for the condition of a join.
    return made.replace(" ON CONFLICT", " WHERE true ON CONFLICT", 1)
