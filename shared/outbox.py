"""Messages leave in the transaction of the rows they speak of; a relay sends them on, in order per key.

``append`` writes a message as a row; the ``Relay`` sends what is due and deletes it by id. A row with ``not_before``
in the future is a timer: parking a job is a delayed wake-up. Sent twice after a crash at worst, never lost.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence

import msgspec
import structlog
from aiokafka.errors import MessageSizeTooLargeError
from sqlalchemy import (
    Column,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.contracts.envelope import Message
from shared.db import Database, mark_news
from shared.kafka import Producer

BATCH = 500
IDLE_S = 1.0
"""How long the relay sleeps at most: another process may have written a row."""
BACKOFF_S = 0.5
LEAVE_S = 2.0
"""How long the relay tries to send what is due before it leaves; the rest waits for the next start."""

log = structlog.get_logger()
Headers = tuple[tuple[str, bytes], ...]


def outbox_table(metadata: MetaData) -> Table:
    """The table, for a service's ``tables.py``. Times are epoch seconds."""
    return Table(
        "outbox",
        metadata,
        Column("id", Integer, primary_key=True, autoincrement=True),
        Column("topic", String, nullable=False),
        Column("key", LargeBinary, nullable=False),
        Column("value", LargeBinary, nullable=True),
        Column("headers", LargeBinary, nullable=False),
        Column("not_before", Float, nullable=False, index=True),
        sqlite_autoincrement=True,
    )


async def append(
    connection: AsyncConnection, table: Table, messages: Iterable[Message], *, not_before: float = 0.0
) -> None:
    """Write ``messages`` in the caller's transaction, due at ``not_before`` (epoch seconds; at once when 0)."""
    rows = [
        {
            "topic": message.topic,
            "key": message.key,
            "value": message.value,
            "headers": msgspec.msgpack.encode(message.headers),
            "not_before": not_before,
        }
        for message in messages
    ]
    if rows:
        await connection.execute(insert(table), rows)
        mark_news(connection)


class Relay:
    """Sends a service's outbox. One loop; it wakes when a transaction that appended has committed."""

    def __init__(self, database: Database, table: Table, producer: Producer) -> None:
        self._database, self._table, self._producer = database, table, producer
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        database.on_commit(self._committed)

    def _committed(self, news: bool) -> None:  # noqa: FBT001  # the listener's one fact
        if news:
            self._wake.set()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="outbox relay")

    async def stop(self) -> None:
        """Send what is due, then leave; a Kafka or database that is away is not waited for."""
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=LEAVE_S)
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                if await self._send_due() == BATCH or self._wake.is_set():
                    continue
                if self._stopping:
                    return
                await self._sleep()
            except Exception:  # whatever it is, the rows are still there
                log.exception("outbox_not_sent")
                if self._stopping:
                    return
                await asyncio.sleep(BACKOFF_S)

    async def _sleep(self) -> None:
        async with self._database.read() as connection:
            due = (await connection.execute(select(func.min(self._table.c.not_before)))).scalar()
        delay = IDLE_S if due is None else min(IDLE_S, max(0.0, due - time.time()))
        try:
            async with asyncio.timeout(delay):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _send_due(self) -> int:
        table = self._table
        async with self._database.read() as connection:
            query = select(table).where(table.c.not_before <= time.time()).order_by(table.c.id).limit(BATCH)
            rows = (await connection.execute(query)).all()
        if not rows:
            return 0
        await self._send([_message(row) for row in rows])
        async with self._database.write() as connection:
            gone: Sequence[dict[str, int]] = [{"sent": row.id} for row in rows]
            await connection.execute(delete(table).where(table.c.id == bindparam("sent")), gone)
        return len(rows)

    async def _send(self, messages: list[Message]) -> None:
        """A message that no broker would ever take is given up, loudly: it must not hold up all others for ever."""
        try:
            await self._producer.send_all(messages)
        except MessageSizeTooLargeError:
            if len(messages) > 1:
                for message in messages:
                    await self._send([message])
                return
            log.exception("outbox_message_too_large", topic=messages[0].topic, key=messages[0].key[:200])


def _message(row: object) -> Message:
    headers = msgspec.msgpack.decode(row.headers, type=Headers)  # type: ignore[attr-defined]  # a row's columns
    return Message(topic=row.topic, key=row.key, value=row.value, headers=headers)  # type: ignore[attr-defined]
