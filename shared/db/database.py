"""Read and write a service's tables, in SQLite or PostgreSQL.

The code of a service does not know which of the two it runs on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.engines import (
    ConnectionPool,
    Location,
    Schema,
    postgresql_engine,
    sqlite_engine,
    store_name,
)
from shared.db.leader import LeaderLock, channel, leader_lock
from shared.db.migrations import installation_of, layout_of, migrate, prepare
from shared.layout import StoreUnusable, require_layout, sqlite_installation, sqlite_layout
from shared.obstacles import blames_file, too_full

LEAST_FREE: Final = 256 << 20
"""Bytes that must be free beside an SQLite file: a minute of some six hundred records a second, of
which each takes 7 kB in the databases and the built-in broker together."""
READERS: Final = 4
WRITERS: Final = 6

_NOTIFIES: Final = "notifies"
_READ_ONLY: Final = text("SELECT current_setting('transaction_read_only') = 'on'")
_NOTIFY: Final = text("SELECT pg_notify(:channel, '')")
_LOCK: Final = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")

_SESSIONS: Final = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND pid <> pg_backend_pid() AND application_name LIKE 'tributary %'"
)


def notify_on_commit(db: AsyncConnection) -> None:
    """Notify the listeners (``Database.on_commit``) when this transaction commits.

    To be called by whoever writes something that others wait for.
    """
    db.info[_NOTIFIES] = True


class Database:
    """Give access to the tables of a service at ``location``.

    ``durable`` makes every commit on SQLite survive a power cut, not only a killed process; on
    PostgreSQL every commit does. ``serial`` runs writing transactions one after the other on
    PostgreSQL too, across all processes. ``least_free`` bytes must be free beside an SQLite file,
    or ``trouble`` reports it.
    """

    def __init__(
        self,
        location: Location,
        *,
        durable: bool = False,
        serial: bool = False,
        least_free: int = LEAST_FREE,
    ) -> None:
        self._location, self._least_free = location, least_free
        self._lock = "write" if serial else None
        if isinstance(location, Schema):
            self._writers = ConnectionPool(
                postgresql_engine(location, readonly=False), size=WRITERS
            )
            self._readers = ConnectionPool(postgresql_engine(location, readonly=True), size=READERS)
        else:
            location.parent.mkdir(parents=True, exist_ok=True)
            self._writers = ConnectionPool(
                sqlite_engine(location, "BEGIN IMMEDIATE", durable=durable), size=1
            )
            self._readers = ConnectionPool(
                sqlite_engine(location, "BEGIN", durable=durable), size=READERS
            )
        self._listeners: list[Callable[[bool], None]] = []
        self.leader: LeaderLock = leader_lock(location, lambda: self._tell(notified=True))
        """Shared with all processes that use these tables."""
        self.notifies_others = True
        """False while this process acts on its own notifications, so that the others need not hear
        them (PostgreSQL only)."""

    def on_commit(self, listener: Callable[[bool], None]) -> None:
        """Call ``listener`` after each commit here, with True if ``notify_on_commit`` was called.

        A process that has tried to acquire the leader's lock hears other processes' notifications
        too.
        """
        self._listeners.append(listener)

    @asynccontextmanager
    async def write(self, lock: str | None = None) -> AsyncIterator[AsyncConnection]:
        """Yield a transaction that commits at its end and rolls back on any error or cancellation.

        Transactions with the same ``lock`` run one after the other, across all processes (on SQLite
        all transactions do). Await nothing inside but the connection itself: a slow network call
        would keep every other writer waiting.
        """
        async with self._writers.connection() as connection:
            connection.info.pop(_NOTIFIES, None)
            async with connection.begin():
                if (name := lock or self._lock) and isinstance(self._location, Schema):
                    await connection.execute(_LOCK, {"name": f"{self._location.name}:{name}"})
                yield connection
                notified = bool(connection.info.pop(_NOTIFIES, False))
                if notified and self.notifies_others and isinstance(self._location, Schema):
                    await connection.execute(_NOTIFY, {"channel": channel(self._location)})
        self._tell(notified=notified)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection that reads the committed state as of its first statement."""
        async with self._readers.connection() as connection:
            yield connection

    async def trouble(self) -> Mapping[str, str]:
        """Return what a health check should report; empty if the database accepts writes."""
        try:
            async with self._writers.connection() as connection, connection.begin():
                only_read = (
                    isinstance(self._location, Schema)
                    and (await connection.execute(_READ_ONLY)).scalar_one()
                )
            full = not isinstance(self._location, Schema) and too_full(
                self._location.parent, least=self._least_free
            )
        except (SQLAlchemyError, OSError) as error:
            return {"database": f"it cannot be written to ({type(error).__name__})"}
        if only_read:
            return {"database": "it can only be read"}
        return {"disk": full} if full else {}

    async def migrate(self, script_location: str) -> None:
        """Bring the schema to its newest revision.

        ``script_location`` is a package such as ``services.auth:migrations``. Several processes may
        do this at once. A schema that a newer version has made is left as it is.

        Raises:
            LayoutRefused: the tables have another layout; nothing was changed.
            StoreUnusable: an SQLite file cannot be read or written.
        """
        try:
            async with self.changing() as connection:
                await migrate(connection, script_location, store_name(self._location))
        except DBAPIError as error:
            if not blames_file(error.orig):
                raise
            raise StoreUnusable(store_name(self._location), error.orig) from error

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[AsyncConnection]:
        """Yield a transaction that changes tables: alone, and with time for large ones."""
        if not isinstance(self._location, Schema):
            async with self._writers.connection() as connection, connection.begin():
                yield connection
            return
        engine = postgresql_engine(self._location, readonly=False, command_s=None)
        async with engine.begin() as connection:
            await prepare(connection, self._location.name)
            yield connection

    def _tell(self, *, notified: bool) -> None:
        for listener in self._listeners:
            listener(notified)

    async def close(self) -> None:
        await self.leader.close()
        await self._writers.close()
        await self._readers.close()


async def stored_layout(location: Location) -> int | None:
    """Return the layout of the tables at ``location``, None if there are none.

    Nothing is written, and no file is created.
    """
    if not isinstance(location, Schema):
        return sqlite_layout(location)
    database = Database(location)
    try:
        async with database.read() as db:
            return await layout_of(db)
    finally:
        await database.close()


async def stored_installation(location: Location) -> str | None:
    """Return the installation that the tables at ``location`` belong to, None if not recorded.

    Nothing is written, and no file is created.
    """
    if not isinstance(location, Schema):
        return sqlite_installation(location)
    database = Database(location)
    try:
        async with database.read() as db:
            return await installation_of(db)
    finally:
        await database.close()


async def other_sessions(schema: Schema) -> int:
    """Return the number of connections that our services have to this database."""
    engine = postgresql_engine(schema, readonly=True)
    try:
        async with engine.connect() as connection:
            return int((await connection.execute(_SESSIONS)).scalar_one())
    finally:
        await engine.dispose()


async def check_layout(location: Location) -> None:
    """Raise ``LayoutRefused`` if the tables at ``location`` have another layout."""
    found = await stored_layout(location)
    if found is not None:
        require_layout(found, store_name(location))
