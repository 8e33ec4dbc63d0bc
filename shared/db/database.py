"""Two doors to a service's tables, in SQLite or in PostgreSQL; its code does not know in which."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db import doors
from shared.db.kept import Kept
from shared.db.lead import Lead, channel, lead
from shared.db.migrating import migrate
from shared.db.place import Schema

READERS = 4
WRITERS = 6
NEWS = "news"

_READ_ONLY = text("SELECT current_setting('transaction_read_only') = 'on'")
_NOTIFY = text("SELECT pg_notify(:channel, '')")
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")


def mark_news(connection: AsyncConnection) -> None:
    """This transaction wrote something that somebody waits for: see ``Database.on_commit``."""
    connection.info[NEWS] = True


class Database:
    """``place`` is an SQLite file, or a schema of a PostgreSQL database.

    ``durable`` makes every commit on SQLite survive a power cut, not only a killed process; on PostgreSQL each does.
    ``serial`` lets writing transactions come one after the other on PostgreSQL too, in whatever process.
    """

    def __init__(self, place: Path | Schema, *, durable: bool = False, serial: bool = False) -> None:
        self._place = place
        self._lock = "write" if serial else None
        if isinstance(place, Schema):
            self._writers = Kept(doors.postgresql(place, readonly=False), size=WRITERS)
            self._readers = Kept(doors.postgresql(place, readonly=True), size=READERS)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            self._writers = Kept(doors.sqlite(place, "BEGIN IMMEDIATE", durable=durable), size=1)
            self._readers = Kept(doors.sqlite(place, "BEGIN", durable=durable), size=READERS)
        self._listeners: list[Callable[[bool], None]] = []
        self.lead: Lead = lead(place, lambda: self._tell(news=True))
        """Among the processes that share these tables."""
        self.announces = True
        """Whether the other processes are told of news; who acts on them itself need not (PostgreSQL only)."""

    def on_commit(self, listener: Callable[[bool], None]) -> None:
        """Called after each commit of this process, with whether the transaction called ``mark_news``.

        Whoever has asked for the lead is told of the other processes' news as well.
        """
        self._listeners.append(listener)

    @asynccontextmanager
    async def write(self, lock: str | None = None) -> AsyncIterator[AsyncConnection]:
        """A transaction that commits at its end and rolls back on any error, cancellation included.

        Transactions with the same ``lock`` come one after the other, in whatever process (on SQLite all of them do).
        Nothing may be awaited inside but the connection itself: no network, no Kafka.
        """
        async with self._writers.connection() as connection:
            connection.info.pop(NEWS, None)
            async with connection.begin():
                if (name := lock or self._lock) and isinstance(self._place, Schema):
                    await connection.execute(_LOCK, {"name": f"{self._place.name}:{name}"})
                yield connection
                news = bool(connection.info.pop(NEWS, False))
                if news and self.announces and isinstance(self._place, Schema):
                    await connection.execute(_NOTIFY, {"channel": channel(self._place)})
        self._tell(news=news)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """What is committed, as it was at the first statement."""
        async with self._readers.connection() as connection:
            yield connection

    async def trouble(self) -> Mapping[str, str]:
        """What a health check says of it; empty when it takes writes."""
        try:
            async with self._writers.connection() as connection, connection.begin():
                only_read = isinstance(self._place, Schema) and (await connection.execute(_READ_ONLY)).scalar_one()
        except (SQLAlchemyError, OSError) as error:
            return {"database": f"it cannot be written ({type(error).__name__})"}
        return {"database": "it can only be read"} if only_read else {}

    async def migrate(self, script_location: str) -> None:
        """Bring the schema to its newest revision; ``script_location`` is a package: ``services.auth:migrations``.

        Several processes may do this at once. A schema that a newer version has made is left as it is.
        """
        if not isinstance(self._place, Schema):
            async with self._writers.connection() as connection, connection.begin():
                await migrate(connection, script_location, None)
            return
        engine = doors.postgresql(self._place, readonly=False, command_s=None)  # a large table takes its time
        async with engine.begin() as connection:
            await migrate(connection, script_location, self._place.name)

    def _tell(self, *, news: bool) -> None:
        for listener in self._listeners:
            listener(news)

    async def close(self) -> None:
        await self.lead.close()
        await self._writers.close()
        await self._readers.close()
