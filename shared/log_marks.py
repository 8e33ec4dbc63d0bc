"""Notice that a service's database and Kafka's topics are not of the same day.

The relay keeps marks: for each partition, the log and the offset behind the last message it sent.
They change in the transaction that deletes the sent rows, so every message of ours behind a mark is
still in the outbox. Where that does not hold, one of the two was lost or restored.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Final, Literal

import msgspec
import structlog
from aiokafka import TopicPartition
from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared import clock
from shared.contracts.envelope import REPLAYED_FROM, header
from shared.db import Big, Database
from shared.kafka import ConsumedRecord, LogReader, log_ids, lossy_policies
from shared.settings import Cluster

Finding = Literal["same_day", "no_marks", "log_lost", "database_old"]
Offsets = Mapping[str, Mapping[int, int]]
"""Topic → partition → highest offset."""
Reached = Mapping[TopicPartition, tuple[str, int]]
"""The log and the next offset of each partition."""
LOST: Final = "lost"
"""Stands for the identity of a log that is to be filled again."""
EVERY_S: Final = 60.0
LOOKED_AT: Final = 500
"""Offsets behind each mark that are looked at. Usually there are none, after a crash a few."""
SAID: Final[Mapping[str, str]] = {
    "log_lost": "it was lost, created anew or restored. Restart this service: it is mended then",
    "database_old": "the database was restored from an older copy. Restart this service: it "
    "catches up then",
}
"""Reported by health checks. It is mended at the next start, because a producer that has written to
a log should not go on in another."""


def log_marks_table(metadata: MetaData) -> Table:
    """Return the table, for a service's ``tables.py``."""
    return Table(
        "log_marks",
        metadata,
        Column("topic", String, nullable=False),
        Column("partition", Integer, nullable=False),
        Column("log_id", String, nullable=False),
        Column("next_offset", Big, nullable=False),
        PrimaryKeyConstraint("topic", "partition"),
    )


Content = tuple[bytes | None, bytes | None]
"""The key and the value of a message."""
Knows = Callable[[AsyncConnection, ConsumedRecord], Awaitable[bool]]
"""Tells whether a message says nothing that the database does not know. Copies are such messages,
and what is not ours."""


log = structlog.get_logger()


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Hold what was found of each topic, its log, and the marks and ends of its partitions."""

    findings: Mapping[str, Finding]
    logs: Mapping[str, str]
    marks: Reached
    ends: Mapping[TopicPartition, int]


class LogMarks:
    """Keep the marks of one service; ``log_ids`` is the present log of each topic."""

    def __init__(self, table: Table, log_ids: Mapping[str, str]) -> None:
        self._table, self._log_ids = table, log_ids
        self._furthest: dict[TopicPartition, tuple[str, int]] = {}
        self._moved_back: set[str] = set()
        new = upsert(table)
        same = table.c.log_id == new.excluded.log_id
        further = same & (table.c.next_offset < new.excluded.next_offset)
        values = {"log_id": new.excluded.log_id, "next_offset": new.excluded.next_offset}
        key = ["topic", "partition"]
        # Another log's offsets begin at 0 again, but that is for ``compare`` to find.
        self._forward = new.on_conflict_do_update(
            index_elements=key, set_=values, where=further | (table.c.log_id == LOST)
        )
        self._anew = new.on_conflict_do_update(
            index_elements=key, set_=values, where=further | ~same
        )

    async def note(self, db: AsyncConnection, highest: Offsets) -> None:
        """Note the highest offsets that were sent, in the caller's transaction."""
        ends = {
            TopicPartition(topic, partition): offset + 1
            for topic, offsets in highest.items()
            for partition, offset in offsets.items()
        }
        await self._write(db, self._forward, ends)

    async def load(self, db: AsyncConnection, topics: Collection[str]) -> Reached:
        rows = await db.execute(select(self._table).where(self._table.c.topic.in_(topics)))
        return {
            TopicPartition(row.topic, row.partition): (row.log_id, row.next_offset) for row in rows
        }

    async def forget(self, db: AsyncConnection, topics: Collection[str], found: Comparison) -> None:
        """Note that these topics were lost; what is sent from now on belongs to their new logs.

        It stays so until ``replace``: after a crash in between, the next comparison finds it again.
        """
        self._log_ids = found.logs
        self._furthest.clear()
        lost = self._table.c.topic.in_(topics)
        await db.execute(update(self._table).where(lost).values(log_id=LOST, next_offset=0))

    async def replace(self, db: AsyncConnection, found: Comparison) -> None:
        """Put the marks where the topics ended when they were compared.

        A mark that has moved further since stays: its messages are in the outbox no more.
        """
        self._log_ids = found.logs
        self._furthest.clear()
        await self._write(db, self._anew, found.ends)

    def moved_back(self, known: Reached) -> frozenset[str]:
        """Return the topics with a mark that was once lower than when asked before.

        Marks only move forward, so an older copy of the database was put under this process.
        """
        for partition, (log_id, next_offset) in known.items():
            before = self._furthest.get(partition)
            if before and before[0] == log_id and next_offset < before[1]:
                self._moved_back.add(partition.topic)
            self._furthest[partition] = (log_id, next_offset)
        return frozenset(self._moved_back)

    async def _write(
        self, db: AsyncConnection, save: Insert, ends: Mapping[TopicPartition, int]
    ) -> None:
        rows = [
            {
                "topic": partition.topic,
                "partition": partition.partition,
                "log_id": self._log_ids[partition.topic],
                "next_offset": end,
            }
            for partition, end in sorted(ends.items())
        ]
        if rows:
            await db.execute(save, rows)


async def compare(
    database: Database,
    marks: LogMarks,
    *,
    cluster: Cluster,
    written: Mapping[str, Table | None],
    knows: Knows,
) -> Comparison:
    """Compare a service's marks with the topics it writes to, before it sends anything.

    ``written`` is topic → the outbox that fills it. None for a topic that is filled without one: an
    old database is not noticed there.

    Raises ``TimeoutError`` or a ``KafkaError`` if Kafka does not answer.
    """
    logs = await log_ids(cluster, list(written))
    findings: dict[str, Finding] = {}
    async with LogReader(cluster, list(written)) as reader:
        # First the ends, then the marks: what is appended meanwhile is behind a mark that moves.
        ends = await reader.ends()
        async with database.read() as db:
            known = await marks.load(db, list(written))
            behind = {topic: _behind(topic, known, ends) for topic in written}
            waiting = {
                topic: await _waiting(db, topic, outbox)
                for topic, outbox in written.items()
                if outbox is not None and behind[topic]
            }
        for topic in written:
            findings[topic] = _standing(topic, known, ends, logs[topic])
            if findings[topic] == "same_day" and topic in waiting:
                found = await _not_waiting(reader, behind[topic], waiting[topic])
                if not await _all_known(database, found, knows):
                    findings[topic] = "database_old"
    return Comparison(findings=findings, logs=logs, marks=known, ends=ends)


async def compare_running(
    database: Database, marks: LogMarks, *, cluster: Cluster, topics: Collection[str]
) -> Mapping[str, str]:
    """Compare while the service runs; return what a health check should say of each topic.

    The messages behind the marks are not read. An older database shows by its marks, which this
    process has seen further on.

    Raises ``TimeoutError`` or a ``KafkaError`` if Kafka does not answer.
    """
    written = dict.fromkeys(topics)
    found = await compare(database, marks, cluster=cluster, written=written, knows=everything)
    findings = {**found.findings, **dict.fromkeys(marks.moved_back(found.marks), "database_old")}
    said = {topic: SAID[finding] for topic, finding in findings.items() if finding in SAID}
    return {**await lossy_policies(cluster, topics), **said}


class Comparing:
    """Compare once a minute. ``trouble`` is what a health check should report meanwhile."""

    def __init__(self, look: Callable[[], Awaitable[Mapping[str, str]]]) -> None:
        """``look`` compares, and returns what a health check should say."""
        self._look = look
        self.trouble: Mapping[str, str] = {}

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            await clock.sleep(EVERY_S)
            try:
                self.trouble = await self._look()
            except LookupError as missing:
                self.trouble = {"topics": f"{missing}. Create the topics: python -m deploy.setup"}
            except Exception:
                # Kafka or the database is away, which their own checks report.
                log.exception("comparison_failed")


def _standing(
    topic: str, marks: Reached, ends: Mapping[TopicPartition, int], log_id: str
) -> Finding:
    of_topic = {one: mark for one, mark in marks.items() if one.topic == topic}
    if not of_topic:
        return "no_marks"
    lost = any(log != log_id or ends.get(one, 0) < end for one, (log, end) in of_topic.items())
    return "log_lost" if lost else "same_day"


def _behind(
    topic: str, marks: Reached, ends: Mapping[TopicPartition, int]
) -> dict[TopicPartition, tuple[int, int]]:
    """Return the stretches behind the marks of a topic: their first offset and the next after."""
    return {
        one: (mark, min(ends[one], mark + LOOKED_AT))
        for one, (_, mark) in marks.items()
        if one.topic == topic and mark < ends.get(one, 0)
    }


async def _waiting(db: AsyncConnection, topic: str, outbox: Table) -> frozenset[Content]:
    rows = await db.execute(select(outbox.c.key, outbox.c.value).where(outbox.c.topic == topic))
    return frozenset([(row.key, row.value) for row in rows])


async def _not_waiting(
    reader: LogReader,
    stretches: Mapping[TopicPartition, tuple[int, int]],
    waiting: Collection[Content],
) -> list[ConsumedRecord]:
    """Return the messages there that are neither in the outbox nor replayed by a person."""
    found = await reader.stretch(stretches, lambda logged: logged.record)
    return [
        record
        for records in found.values()
        for record in records
        if (record.key, record.value) not in waiting
        and header(record.headers, REPLAYED_FROM) is None
    ]


async def _all_known(database: Database, found: Sequence[ConsumedRecord], knows: Knows) -> bool:
    async with database.read() as db:
        for record in found:
            if not await knows(db, record):
                return False
    return True


async def everything(db: AsyncConnection, record: ConsumedRecord) -> bool:  # noqa: ARG001
    """Know every message: for topics of which only the marks are compared."""
    return True
