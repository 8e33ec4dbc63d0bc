"""Run SQLite in the event loop's own thread, behind SQLAlchemy's asynchronous interface.

The usual driver hands every step of a statement to a thread. Beside a busy event loop each step
waits for the interpreter lock, up to 5 ms, and a page's transaction has some sixty steps. A
statement here takes microseconds, so it is simply executed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

BUSY_S: Final = 5.0
PAGE_BYTES: Final = 8192


class InlineCursor:
    """Offer what SQLAlchemy expects of an asynchronous cursor. Nothing here ever waits."""

    def __init__(self, raw: sqlite3.Cursor) -> None:
        self._raw = raw

    async def __aenter__(self) -> Self:
        return self

    def __getattr__(self, name: str) -> Any:
        """Return the raw cursor's ``description``, ``rowcount``, ``lastrowid`` or ``arraysize``."""
        return getattr(self._raw, name)

    async def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Self:
        self._raw.execute(statement, parameters)
        return self

    async def executemany(self, statement: str, parameters: Sequence[Sequence[Any]]) -> Self:
        self._raw.executemany(statement, parameters)
        return self

    async def fetchall(self) -> list[Any]:
        return self._raw.fetchall()

    async def close(self) -> None:
        self._raw.close()


class InlineConnection:
    """A connection on which only we begin and commit transactions.

    ``isolation_level=None`` stops Python's driver from doing either by itself.
    """

    def __init__(self, path: Path, *, durable: bool) -> None:
        self._connection: sqlite3.Connection | None = sqlite3.connect(
            path, timeout=BUSY_S, isolation_level=None
        )
        # Of SQLite's default of 4 kB, one item with its raw object, often over 2 kB, would fill a
        # page alone. Only a new file takes this setting.
        self._connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
        for pragma in (
            "journal_mode=WAL",
            f"synchronous={'FULL' if durable else 'NORMAL'}",
            "cache_size=-16000",
        ):
            self._connection.execute(f"PRAGMA {pragma}")

    def cursor(self) -> InlineCursor:
        return InlineCursor(self._live.cursor())

    def begin(self, statement: str) -> None:
        self._live.execute(statement)

    async def commit(self) -> None:
        self._live.commit()

    async def rollback(self) -> None:
        self._live.rollback()

    async def create_function(self, *arguments: Any, **options: Any) -> None:
        self._live.create_function(*arguments, **options)

    def is_closed(self) -> bool:
        return self._connection is None

    async def close(self) -> None:
        self.stop()

    def stop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def _live(self) -> sqlite3.Connection:
        if self._connection is None:
            raise sqlite3.OperationalError("the connection is closed")
        return self._connection


async def connect(path: Path, *, durable: bool) -> InlineConnection:
    return InlineConnection(path, durable=durable)
