"""Send messages that were written in the transaction of the rows they are about.

``append`` writes a message as a row. The ``Relay`` sends what is due, in order for each key, and
deletes it by id. A row with ``not_before`` in the future is a timer: waiting is a delayed message.
After a crash a message may be sent twice, but none is lost.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec
import sqlalchemy as sa
import structlog
from aiokafka.errors import MessageSizeTooLargeError
from sqlalchemy import Column, Float, LargeBinary, MetaData, String, Table, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from shared import clock
from shared.contracts.envelope import Headers, Message
from shared.db import Big, Database, db_now, in_array, json_array, notify_on_commit
from shared.failpoints import failpoint
from shared.kafka import Producer
from shared.log_marks import LogMarks, Offsets
from shared.telemetry import Counter

BATCH: Final = 500
IDLE_S: Final = 1.0
"""The longest sleep of the relay: the leader may be gone, or another process may have written a
row."""
BACKOFF_S: Final = 0.5
LEAVE_S: Final = 2.0
"""The time the relay has to send what is due before it stops. The rest waits for the next start."""

GIVEN_UP: Final = Counter(
    "tributary_outbox_given_up",
    "Messages that were too large for Kafka: they were logged, and are lost.",
)

log = structlog.get_logger()


def outbox_table(metadata: MetaData) -> Table:
    """Return the table, for a service's ``tables.py``. Times are epoch seconds."""
    return Table(
        "outbox",
        metadata,
        Column("id", Big, primary_key=True, autoincrement=True),
        Column("topic", String, nullable=False),
        Column("key", LargeBinary, nullable=False),
        Column("value", LargeBinary, nullable=True),
        Column("headers", LargeBinary, nullable=False),
        Column("not_before", Float, nullable=False, index=True),
        sqlite_autoincrement=True,
    )


async def append(
    db: AsyncConnection, table: Table, messages: Iterable[Message], *, delay_s: float = 0.0
) -> None:
    """Write ``messages`` in the caller's transaction.

    They are due in ``delay_s`` seconds by the database's clock.
    """
    rows = [
        {
            "topic": message.topic,
            "key": message.key,
            "value": message.value,
            "headers": msgspec.msgpack.encode(message.headers),
        }
        for message in messages
    ]
    if rows:
        due = db_now() + delay_s if delay_s else sa.literal(0.0)
        await db.execute(sa.insert(table).values(not_before=due), rows)
        notify_on_commit(db)


class Relay:
    """Send a service's outbox.

    Any number of processes may have a relay: the leader sends, the others stand by. It wakes up
    when a transaction that appended has committed, in whatever process. ``marks`` are moved in the
    transaction that deletes the sent rows.
    """

    def __init__(
        self,
        database: Database,
        table: Table,
        producer: Producer,
        *,
        marks: LogMarks | None = None,
    ) -> None:
        self._database, self._table, self._producer = database, table, producer
        self._marks = marks
        self._gone = sa.delete(table).where(in_array(table.c.id, bindparam("ids", type_=sa.Text)))
        self._wake = asyncio.Event()
        self._leader = database.leader
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        database.on_commit(self._committed)
        GIVEN_UP.add(by=0)

    def _committed(self, notified: bool) -> None:  # noqa: FBT001  # the listener's one fact
        if notified:
            self._wake.set()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="outbox relay")

    async def stop(self) -> None:
        """Send what is due, then leave. An unreachable Kafka or database is not waited for.

        If the sending is cut off, this process stays the leader until the database closes, which is
        after the producer: nobody else sends before that has let go.
        """
        self._stopping.set()
        self._wake.set()
        if self._task is not None:
            if (await asyncio.wait([self._task], timeout=LEAVE_S))[0]:
                await self._leader.close()
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                sent = await self.send_due()
                if sent == BATCH or (sent is not None and self._wake.is_set()):
                    continue
                if self._stopping.is_set():
                    return
                await self._sleep(leads=sent is not None)
            except Exception:  # whatever it is, the rows are still there
                log.exception("outbox_not_sent")
                if self._stopping.is_set():
                    return
                await asyncio.sleep(BACKOFF_S)

    async def _sleep(self, *, leads: bool) -> None:
        """Sleep until there may be something to do.

        The leader is woken by notifications. The others look regularly whether it is gone.
        """
        delay, event = (
            (min(IDLE_S, await self._due_in()), self._wake) if leads else (IDLE_S, self._stopping)
        )
        try:
            async with clock.timeout(delay):
                await event.wait()
        except TimeoutError:
            return

    async def _due_in(self) -> float:
        """Return the seconds until the next row is due, infinity if there is none."""
        first = select(func.min(self._table.c.not_before) - db_now())
        async with self._database.read() as db:
            left: float | None = (await db.execute(first)).scalar()
        return math.inf if left is None else max(0.0, left)

    async def send_due(self) -> int | None:
        """Send a batch of due rows; return their number, None if another process leads."""
        leads = await self._leader.acquire()
        self._database.notifies_others = not leads
        if not leads:
            return None
        table = self._table
        async with self._database.read() as db:
            query = (
                select(table)
                .where(table.c.not_before <= db_now())
                .order_by(table.c.id)
                .limit(BATCH)
            )
            rows = (await db.execute(query)).all()
        if not rows or not self._leader.is_certain():
            return 0
        sent = await self._leading(self._send_all([_message(row) for row in rows]))
        failpoint("after_relay_send")
        async with self._database.write() as db:
            await db.execute(self._gone, {"ids": json_array(row.id for row in rows)})
            if self._marks is not None:
                await self._marks.note(db, sent)
        return len(rows)

    async def _leading(self, sending: Coroutine[Any, Any, Offsets]) -> Offsets:
        """Send while renewing the leadership, however long Kafka stays away.

        Without that, another process would take over and send the same rows, and newer ones before
        ours.
        """
        task = asyncio.create_task(sending, name="outbox send")
        try:
            while not (await asyncio.wait([task], timeout=IDLE_S))[0]:
                with suppress(Exception):
                    await self._leader.acquire()
            return await task
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _send_all(self, messages: list[Message]) -> Offsets:
        topics: dict[str, list[Message]] = {}
        for message in messages:
            topics.setdefault(message.topic, []).append(message)
        sent = await asyncio.gather(*(self._send(some) for some in topics.values()))
        return dict(zip(topics, sent, strict=True))

    async def _send(self, messages: list[Message]) -> Mapping[int, int]:
        """Send the messages of a topic, and give up one that no broker would ever accept.

        It must not block all others for ever, so it is logged and counted. Return partition →
        highest offset.
        """
        try:
            return await self._producer.send_all(messages)
        except MessageSizeTooLargeError:
            if len(messages) > 1:
                highest: dict[int, int] = {}
                for message in messages:
                    # Later ones have higher offsets.
                    highest |= await self._send([message])
                return highest
            GIVEN_UP.add()
            log.exception(
                "outbox_message_too_large", topic=messages[0].topic, key=messages[0].key[:200]
            )
            return {}


def _message(row: Any) -> Message:
    headers = msgspec.msgpack.decode(row.headers, type=Headers)
    return Message(topic=row.topic, key=row.key, value=row.value, headers=headers)
