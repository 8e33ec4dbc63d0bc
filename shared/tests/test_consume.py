"""Nothing a handler does, and no moment of stopping, loses a message."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, KafkaConnectionError
from sqlalchemy.exc import OperationalError
from typing_extensions import override

from shared.contracts.envelope import Undecodable
from shared.contracts.topics import dead_letters
from shared.kafka import ConsumedRecord, Consumers
from shared.kafka.consume import BATCH
from shared.kafka.dead_letters import MAX_DEAD_LETTER_BYTES, DeadLetters
from shared.kafka.deliver import ATTEMPTS
from shared.kafka.produce import MAX_REQUEST_BYTES, OVERHEAD_BYTES
from shared.tests.kafka_harness import Kafka, consuming
from tests.support.waiting import until

AWAY = OperationalError("select", {}, Exception("the disk is away"))


class Reader:
    """Keep what was read. ``errors`` are raised first, one per call."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.values: list[bytes | None] = []
        self.calls = 0

    async def one(self, record: ConsumedRecord) -> None:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        self.values.append(record.value)

    async def many(self, batch: list[ConsumedRecord]) -> None:
        self.calls += 1
        for record in batch:
            if record.value == b"bad":
                raise ValueError("bad")
            self.values.append(record.value)


class Positions:
    """A reader's own database: values and positions, written together."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.values: list[bytes | None] = []
        self.next: dict[int, int] = {}

    async def load(self, topic: str) -> Mapping[int, int]:
        if self.errors:
            raise self.errors.pop(0)
        return self.next

    async def apply(self, batch: list[ConsumedRecord]) -> None:
        self.values += [record.value for record in batch]
        self.next.update({record.partition: record.offset + 1 for record in batch})


async def test_a_backlog_reaches_a_handler_of_batches_in_order_and_in_parts(kafka: Kafka) -> None:
    values = [b"%d" % n for n in range(2 * BATCH + 1)]
    await kafka.put(kafka.topic, *values)
    place, sizes = Positions(), list[int]()

    async def many(batch: list[ConsumedRecord]) -> None:
        sizes.append(len(batch))
        await place.apply(batch)

    async with consuming(kafka, lambda consumers: consumers.batches(kafka.topic, many, place)):
        await until(lambda: len(place.values) >= len(values))
    assert place.values == values
    assert max(sizes) <= BATCH


async def test_a_commit_that_a_rebalance_refused_is_made_again_without_another_message(
    kafka: Kafka,
) -> None:
    place, refused = Positions(), list[Mapping[TopicPartition, int]]()
    async with consuming(
        kafka, lambda consumers: consumers.batches(kafka.topic, place.apply, place)
    ) as consumers:
        (subscriber,) = consumers.broker.subscribers
        client: Any = subscriber.consumer  # type: ignore[attr-defined]
        commit = client.commit

        async def refused_once(offsets: Mapping[TopicPartition, int]) -> None:
            if not refused:
                refused.append(offsets)
                raise CommitFailedError("rebalanced")
            await commit(offsets)

        client.commit = refused_once
        await kafka.put(kafka.topic, b"1", b"2")

        async def all_committed() -> bool:
            return await kafka.committed(kafka.topic) == 2

        await until(all_committed)
    assert refused
    assert place.values == [b"1", b"2"]


async def test_a_database_that_is_away_is_waited_for_and_costs_no_message(kafka: Kafka) -> None:
    await kafka.put(kafka.topic, b"1", b"2")
    reader = Reader(AWAY, OSError("gone"), AWAY, AWAY)
    async with consuming(
        kafka, lambda consumers: consumers.each(kafka.topic, reader.one)
    ) as consumers:
        await until(lambda: reader.calls == 2)
        assert kafka.topic in consumers.failing
        await until(lambda: len(reader.values) == 2)
        await until(lambda: not consumers.failing)
    assert reader.values == [b"1", b"2"]


class Unsayable(OSError):
    """An error that fails when it is turned into text."""

    @override
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize("whole", [False, True])
async def test_a_fault_outside_of_the_handler_costs_no_message(
    kafka: Kafka, *, whole: bool
) -> None:
    await kafka.put(kafka.topic, b"1", b"2")
    reader, place = Reader(Unsayable()), Positions()

    async def many(batch: list[ConsumedRecord]) -> None:
        if reader.errors:
            raise reader.errors.pop()
        await place.apply(batch)

    def listen(consumers: Consumers) -> None:
        consumers.batches(kafka.topic, many, place) if whole else consumers.each(
            kafka.topic, reader.one
        )

    async with consuming(kafka, listen):
        await until(lambda: len(place.values + reader.values) == 2)
    assert place.values + reader.values == [b"1", b"2"]


async def test_a_fault_of_ours_is_tried_again_and_then_kept_with_its_count(kafka: Kafka) -> None:
    await kafka.put(kafka.topic, b"1", b"2", kind=b"\xff\xfe")
    reader = Reader(*[ValueError("cannot")] * ATTEMPTS)
    async with consuming(kafka, lambda consumers: consumers.each(kafka.topic, reader.one)):
        await until(lambda: reader.values == [b"2"])
        (letter,) = await kafka.read(dead_letters(kafka.topic), 1)
    headers = dict(letter.headers)
    assert (letter.key, letter.value, headers["kind"]) == (b"k", b"1", b"\xff\xfe")
    assert (headers["dlq_topic"], headers["dlq_offset"], headers["dlq_service"]) == (
        kafka.topic.encode(),
        b"0",
        b"test",
    )
    assert (headers["dlq_error"], headers["dlq_attempts"]) == (
        b"ValueError: cannot",
        str(ATTEMPTS).encode(),
    )


async def test_one_bad_message_of_a_batch_is_kept_and_the_others_are_read(kafka: Kafka) -> None:
    await kafka.put(kafka.topic, b"1", b"bad", b"3")
    reader = Reader()
    async with consuming(
        kafka, lambda consumers: consumers.batches(kafka.topic, reader.many, Positions())
    ) as consumers:
        await until(lambda: b"3" in reader.values)
        (letter,) = await kafka.read(dead_letters(kafka.topic), 1)
        await until(lambda: not consumers.failing)
    assert letter.value == b"bad"


async def test_what_was_not_finished_when_the_consumers_stopped_comes_again(kafka: Kafka) -> None:
    await kafka.put(kafka.topic, b"1", b"2", b"3")
    reader, hanging = Reader(), asyncio.Event()

    async def hangs(record: ConsumedRecord) -> None:
        if record.value == b"2":
            hanging.set()
            await asyncio.Event().wait()
        await reader.one(record)

    async with consuming(kafka, lambda consumers: consumers.each(kafka.topic, hangs)) as consumers:
        await hanging.wait()
        await consumers.stop()
    assert reader.values == [b"1"]
    async with consuming(kafka, lambda consumers: consumers.each(kafka.topic, reader.one)):
        await until(lambda: len(reader.values) == 3)
    assert reader.values == [b"1", b"2", b"3"]


async def test_a_consumer_whose_handler_never_ends_is_no_longer_ready(kafka: Kafka) -> None:
    await kafka.put(kafka.topic, b"1")
    begun, goes_on = asyncio.Event(), asyncio.Event()

    async def hangs(_: ConsumedRecord) -> None:
        begun.set()
        await goes_on.wait()

    def declare(consumers: Consumers) -> None:
        consumers.each(kafka.topic, hangs)

    async with consuming(kafka, declare, stuck_after_s=3.0) as consumers:
        await begun.wait()
        await until(lambda: bool(consumers.failing))
        assert consumers.failing[kafka.topic].endswith("the handler of a message does not end")
        goes_on.set()
        await until(lambda: not consumers.failing)


async def test_consumers_stop_while_a_handler_waits_for_its_database(kafka: Kafka) -> None:
    await kafka.put(kafka.topic, b"1")
    reader = Reader(*[AWAY] * 1000)
    async with consuming(
        kafka, lambda consumers: consumers.each(kafka.topic, reader.one)
    ) as consumers:
        await until(lambda: bool(consumers.failing))
        await consumers.stop()


async def test_a_reader_with_its_own_positions_reads_on_exactly_once_over_restarts(
    kafka: Kafka,
) -> None:
    own = Positions()
    for start in range(3):
        await kafka.put(kafka.topic, *[f"{start}-{n}".encode() for n in range(5)])
        wanted = 5 * (start + 1)
        async with consuming(
            kafka, lambda consumers: consumers.batches(kafka.topic, own.apply, own)
        ):
            await until(partial(lambda count: len(own.values) >= count, wanted))
    assert sorted(filter(None, own.values)) == sorted(
        f"{start}-{n}".encode() for start in range(3) for n in range(5)
    )


async def test_a_reader_of_another_log_starts_from_its_beginning_whatever_kafka_has_committed(
    kafka: Kafka,
) -> None:
    await kafka.put(kafka.topic, b"1", b"2")
    for own in (Positions(), Positions()):

        def listen(consumers: Consumers, own: Positions = own) -> None:
            consumers.batches(kafka.topic, own.apply, own)

        async with consuming(kafka, listen):
            await until(partial(lambda of: len(of.values) == 2, own))


async def test_nothing_is_read_before_the_positions_are_known(kafka: Kafka) -> None:
    await kafka.put(kafka.topic, b"1", b"2")
    own = Positions()
    async with consuming(kafka, lambda consumers: consumers.batches(kafka.topic, own.apply, own)):
        await until(lambda: len(own.values) == 2)
    own.errors = [AWAY, ValueError("odd")]
    await kafka.put(kafka.topic, b"3")
    own.next = dict.fromkeys(own.next, 0)
    async with consuming(kafka, lambda consumers: consumers.batches(kafka.topic, own.apply, own)):
        await until(lambda: len(own.values) >= 5)
    assert own.values == [b"1", b"2", b"1", b"2", b"3"]


class Faulty:
    """A producer that fails first."""

    def __init__(self, kafka: Kafka, *errors: Exception) -> None:
        self._kafka, self.errors = kafka, list(errors)

    async def send_all(self, messages: object, *, most: int) -> dict[int, int]:
        if self.errors:
            raise self.errors.pop(0)
        return await self._kafka.producer.send_all(messages, most=most)  # type: ignore[arg-type]


async def test_no_message_is_passed_before_its_dead_letter_is_kept(kafka: Kafka) -> None:
    producer: Any = Faulty(kafka, KafkaConnectionError(), OSError())
    letters = DeadLetters(producer, service="test")
    await letters.publish(
        ConsumedRecord(kafka.topic, 0, 7, b"k", b"v", ()), Undecodable("malformed", "not JSON")
    )
    (letter,) = await kafka.read(dead_letters(kafka.topic), 1)
    assert dict(letter.headers)["dlq_error"] == b"malformed: not JSON"


async def test_the_largest_message_of_ours_is_kept_whole_with_its_origin(kafka: Kafka) -> None:
    record = ConsumedRecord(
        kafka.topic, 0, 7, b"k", b"v" * (MAX_REQUEST_BYTES - OVERHEAD_BYTES - 10), (("h", b"kept"),)
    )
    await DeadLetters(kafka.producer, service="test").publish(record, ValueError("x" * 2000))
    (letter,) = await kafka.read(dead_letters(kafka.topic), 1)
    headers = dict(letter.headers)
    assert (letter.value == record.value, headers["h"], headers["dlq_offset"]) == (
        True,
        b"kept",
        b"7",
    )
    assert "dlq_bytes" not in headers


@pytest.mark.parametrize(
    ("key", "headers"), [(b"k", ()), (b"k" * 700_000, ()), (b"k", (("h", b"x" * 900_000),))]
)
async def test_a_message_with_no_room_for_its_origin_is_kept_cut(
    kafka: Kafka, key: bytes, headers: tuple[tuple[str, bytes], ...]
) -> None:
    record = ConsumedRecord(kafka.topic, 0, 7, key, b"v" * MAX_DEAD_LETTER_BYTES, headers)
    await DeadLetters(kafka.producer, service="test").publish(record, ValueError("cannot"))
    (letter,) = await kafka.read(dead_letters(kafka.topic), 1)
    assert dict(letter.headers)["dlq_bytes"] == str(MAX_DEAD_LETTER_BYTES).encode()
    assert dict(letter.headers)["dlq_offset"] == b"7"
    assert letter.value
    assert set(letter.value) == {ord("v")}
