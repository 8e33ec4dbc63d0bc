"""A database and a topic that are not of the same day are told apart from those that are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import MetaData, insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.contracts.envelope import REPLAYED_FROM, Message
from shared.db import Database
from shared.kafka import ConsumedRecord, log_ids
from shared.log_marks import (
    EVERY_S,
    Comparing,
    Comparison,
    Finding,
    LogMarks,
    compare,
    compare_running,
    log_marks_table,
)
from shared.outbox import Relay, append, outbox_table
from shared.tests.kafka_harness import Kafka
from tests.support.clock import MovableClock
from tests.support.waiting import until

metadata = MetaData()
outbox, table = outbox_table(metadata), log_marks_table(metadata)


class Service:
    """A service that fills one topic from its outbox."""

    def __init__(self, database: Database, marks: LogMarks, kafka: Kafka) -> None:
        self.database, self.marks, self.kafka = database, marks, kafka
        self.sent: set[bytes] = set()

    async def compares(self) -> Comparison:
        written = {self.kafka.topic: outbox}
        return await compare(
            self.database,
            self.marks,
            cluster=self.kafka.cluster,
            written=written,
            knows=self._knows,
        )

    async def _knows(self, _db: AsyncConnection, record: ConsumedRecord) -> bool:
        return record.value in self.sent

    async def finds(self) -> Finding:
        return (await self.compares()).findings[self.kafka.topic]

    async def reports(self) -> Mapping[str, str]:
        """Return what it would say while it runs."""
        topics = [self.kafka.topic]
        return await compare_running(
            self.database, self.marks, cluster=self.kafka.cluster, topics=topics
        )

    async def settles(self) -> None:
        """Put the marks where the topic ends."""
        found = await self.compares()
        async with self.database.write() as db:
            await self.marks.replace(db, found)

    async def puts(self, *values: bytes) -> None:
        """Write messages into the outbox."""
        async with self.database.write() as db:
            await append(db, outbox, [self.message(value) for value in values])
        self.sent |= set(values)

    async def sends(self) -> None:
        relay = Relay(self.database, outbox, self.kafka.producer, marks=self.marks)
        await relay.send_due()

    def message(self, value: bytes, **headers: bytes) -> Message:
        named = tuple(headers.items())
        return Message(topic=self.kafka.topic, key=b"k", value=value, headers=named)


@pytest.fixture
async def service(kafka: Kafka, tmp_path: Path) -> AsyncIterator[Service]:
    database = Database(tmp_path / "own.db")
    async with database.write() as db:
        await db.run_sync(metadata.create_all)
    marks = LogMarks(table, await log_ids(kafka.cluster, [kafka.topic]))
    yield Service(database, marks, kafka)
    await database.close()


async def test_what_the_relay_has_sent_is_of_the_same_day(service: Service) -> None:
    assert await service.finds() == "no_marks"
    await service.settles()
    for _ in range(3):
        await service.puts(b"one", b"two")
        await service.sends()
        assert await service.finds() == "same_day"


async def test_what_was_sent_before_a_crash_is_explained_by_the_outbox(service: Service) -> None:
    await service.settles()
    await service.puts(b"one", b"two")
    await service.kafka.producer.send_all([service.message(b"one"), service.message(b"two")])
    assert await service.finds() == "same_day"
    await service.sends()
    assert await service.finds() == "same_day"


async def test_a_message_that_is_not_in_the_outbox_shows_an_older_database(
    service: Service,
) -> None:
    await service.settles()
    await service.puts(b"one")
    await service.kafka.producer.send_all([service.message(b"one"), service.message(b"other")])
    assert await service.finds() == "database_old"
    await service.settles()
    assert await service.finds() == "same_day"


async def test_a_replayed_dead_letter_shows_nothing(service: Service) -> None:
    await service.settles()
    replayed = service.message(b"again", **{REPLAYED_FROM: b"a.dlq~0~1"})
    await service.kafka.producer.send_all([replayed])
    assert await service.finds() == "same_day"


async def test_a_copy_of_our_messages_shows_nothing(service: Service) -> None:
    await service.settles()
    await service.puts(b"one")
    await service.sends()
    assert await service.reports() == {}
    await service.kafka.producer.send_all([service.message(b"one")])
    assert await service.reports() == {}
    assert await service.finds() == "same_day"
    await service.kafka.producer.send_all([service.message(b"unknown")])
    assert await service.reports() == {}, "what an older database lacks, its marks show"
    assert await service.finds() == "database_old"


async def test_marks_that_have_moved_back_while_the_service_runs_are_reported(
    service: Service,
) -> None:
    await service.settles()
    await service.puts(b"one", b"two")
    await service.sends()
    assert await service.reports() == {}
    async with service.database.write() as db:
        await db.execute(update(table).values(next_offset=table.c.next_offset - 1))
    assert "older copy. Restart" in (await service.reports())[service.kafka.topic]
    await service.puts(b"three")
    await service.sends()
    assert await service.reports(), "until it is started again"


async def test_a_topic_that_ends_before_the_mark_was_lost(service: Service) -> None:
    await service.settles()
    async with service.database.write() as db:
        await service.marks.note(db, {service.kafka.topic: {0: 41}})
    assert await service.finds() == "log_lost"


async def test_another_log_of_the_same_name_was_lost_whatever_its_length(service: Service) -> None:
    async with service.database.write() as db:
        row = {"topic": service.kafka.topic, "partition": 0, "log_id": "other", "next_offset": 0}
        await db.execute(insert(table), [row])
    assert await service.finds() == "log_lost"
    await service.settles()
    assert await service.finds() == "same_day"


def moved_and_asked(moves: MovableClock, asked: Sequence[object], before: int) -> bool:
    """Move the clock by a minute unless it has asked once more."""
    if len(asked) == before:
        moves.move(seconds=EVERY_S)
    return len(asked) > before


async def test_it_is_compared_once_a_minute_and_what_cannot_be_mended_is_reported(
    movable_clock: MovableClock,
) -> None:
    found: list[dict[str, str] | Exception] = [
        {"t": "it was created anew"},
        LookupError("Kafka does not know the topic t"),
        TimeoutError(),
        {},
    ]
    asked: list[Mapping[str, str]] = []

    async def mend() -> Mapping[str, str]:
        asked.append(comparing.trouble)
        answer = found[len(asked) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    comparing = Comparing(mend)
    task = asyncio.create_task(comparing.run())
    for _ in found:
        before = len(asked)
        await until(partial(moved_and_asked, movable_clock, asked, before))
    task.cancel()
    missing = "Kafka does not know the topic t. Create the topics: python -m deploy.setup"
    without = {"topics": missing}
    assert asked == [{}, {"t": "it was created anew"}, without, without]


async def test_a_lost_topic_stays_lost_until_it_is_filled_and_what_is_sent_meanwhile_is_ours(
    service: Service,
) -> None:
    await service.settles()
    async with service.database.write() as db:
        await service.marks.note(db, {service.kafka.topic: {0: 41}})
    found = await service.compares()
    async with service.database.write() as db:
        await service.marks.forget(db, [service.kafka.topic], found)
    assert await service.finds() == "log_lost", "also after a crash in the middle of filling it"
    await service.puts(b"one", b"two")
    await service.sends()
    async with service.database.write() as db:
        await service.marks.replace(db, found)
    assert await service.finds() == "same_day"
