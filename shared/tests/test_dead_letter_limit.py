"""A consumer that makes nothing but dead letters stops in front of the next one.

It says what to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaConnectionError
from sqlalchemy.exc import OperationalError
from typing_extensions import override

from shared.contracts.envelope import Message, Undecodable
from shared.contracts.topics import dead_letters
from shared.kafka import ConsumedRecord, Consumers, DeadLetterLimit, Producer
from shared.kafka.produce import MAX_REQUEST_BYTES
from shared.tests.kafka_harness import Kafka, consuming
from tests.support.waiting import until

RUN = DeadLetterLimit(run=5, window=1000)
AWAY = OperationalError("select", {}, Exception("the disk is away"))


class Reader:
    """Fail on messages that begin with ``bad``."""

    def __init__(self) -> None:
        self.values: list[bytes] = []

    async def one(self, record: ConsumedRecord) -> None:
        if (record.value or b"").startswith(b"bad"):
            raise Undecodable("malformed", "bad")
        self.values.append(record.value or b"")


class Sorting:
    """Read batches with positions of its own, as the gateway does.

    It sorts out what it cannot read, then writes.
    """

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.values: list[bytes] = []
        self.next: dict[int, int] = {}
        self.consumers: Consumers

    async def load(self, topic: str) -> Mapping[int, int]:
        return self.next

    async def many(self, batch: list[ConsumedRecord]) -> None:
        good = []
        for one in batch:
            if (one.value or b"").startswith(b"bad"):
                await self.consumers.dead_letter(one, Undecodable("malformed", "bad"))
            else:
                good.append(one.value or b"")
        if self.errors:
            raise self.errors.pop(0)
        self.values += good
        self.next.update({one.partition: one.offset + 1 for one in batch})

    def declare(self, topic: str, consumers: Consumers) -> None:
        self.consumers = consumers
        consumers.batches(topic, self.many, self)


def bad(count: int) -> list[bytes]:
    return [f"bad {n}".encode() for n in range(count)]


async def letters(kafka: Kafka) -> list[bytes | None]:
    count = await kafka.ends(dead_letters(kafka.topic))
    return [one.value for one in await kafka.read(dead_letters(kafka.topic), count)]


async def test_at_the_limit_the_consumer_stops_and_says_what_to_do_while_its_siblings_go_on(
    kafka: Kafka,
) -> None:
    other = await kafka.another()
    await kafka.put(kafka.topic, *bad(8), b"good")
    reader, sibling = Reader(), Reader()

    def declare(consumers: Consumers) -> None:
        consumers.each(kafka.topic, reader.one)
        consumers.each(other, sibling.one)

    async with consuming(kafka, declare, limit=RUN) as consumers:
        await until(lambda: kafka.topic in consumers.failing)
        await kafka.put(other, b"1")
        await until(lambda: sibling.values == [b"1"])
        assert list(consumers.failing) == [kafka.topic]
        said = consumers.failing[kafka.topic]
    assert "5 messages in a row, the last with malformed" in said
    assert f"dead-letters list --topic {kafka.topic}" in said
    assert "restart" in said
    assert (await letters(kafka), await kafka.committed(kafka.topic)) == (bad(5), 5)
    assert reader.values == []


async def stopped(running: Consumers, topic: str) -> None:
    await until(lambda: topic in running.failing)


async def test_after_a_restart_it_tries_again_from_the_message_it_stopped_at(kafka: Kafka) -> None:
    await kafka.put(kafka.topic, *bad(8))
    for kept in (5, 8):
        async with consuming(
            kafka, lambda consumers: consumers.each(kafka.topic, Reader().one), limit=RUN
        ) as running:
            if kept < 8:
                await stopped(running, kafka.topic)
            await kafka.read(dead_letters(kafka.topic), kept)
    assert await letters(kafka) == bad(8)


async def test_a_stopped_consumer_stays_stopped_when_its_group_gives_it_partitions_anew(
    kafka: Kafka,
) -> None:
    await kafka.put(kafka.topic, *bad(8))
    reader = Reader()
    async with consuming(
        kafka, lambda consumers: consumers.each(kafka.topic, reader.one), limit=RUN
    ) as consumers:
        await until(lambda: kafka.topic in consumers.failing)
        async with AIOKafkaConsumer(
            kafka.topic, bootstrap_servers=kafka.bootstrap, group_id=f"tributary.test.{kafka.topic}"
        ) as other:
            await until(lambda: bool(other.assignment()))
        for n in range(8):
            await kafka.put(kafka.topic, b"good", key=f"{n}".encode())
        subscribers: list[Any] = consumers.broker.subscribers
        (own,) = [one.consumer for one in subscribers]
        await until(lambda: len(own.assignment()) == 4 == len(own.paused()))
    assert (reader.values, await kafka.committed(kafka.topic)) == ([], 5)


async def test_one_good_message_ends_a_run(kafka: Kafka) -> None:
    await kafka.put(kafka.topic, *bad(5), b"1", *bad(5), b"2")
    reader = Reader()
    async with consuming(
        kafka, lambda consumers: consumers.each(kafka.topic, reader.one), limit=RUN
    ) as consumers:
        await until(lambda: reader.values == [b"1", b"2"])
        assert not consumers.failing


async def test_a_consumer_that_loses_more_than_its_share_stops(kafka: Kafka) -> None:
    await kafka.put(kafka.topic, *[b"bad", b"good", b"bad"] * 10)
    limit = DeadLetterLimit(run=50, window=8, share=0.5)
    async with consuming(
        kafka, lambda consumers: consumers.each(kafka.topic, Reader().one), limit=limit
    ) as consumers:
        await until(lambda: "50% of the last 8 messages" in consumers.failing.get(kafka.topic, ""))
    assert len(await letters(kafka)) == 4


async def test_the_limit_counts_the_messages_of_a_batch_in_their_order(kafka: Kafka) -> None:
    await kafka.put(kafka.topic, *[b"good", *bad(5)] * 4, b"end")
    own = Sorting()
    async with consuming(kafka, partial(own.declare, kafka.topic), limit=RUN) as consumers:
        await until(lambda: b"end" in own.values)
        assert not consumers.failing


async def test_a_batch_in_which_the_limit_is_reached_is_not_passed(kafka: Kafka) -> None:
    await kafka.put(kafka.topic, b"1", *bad(6), b"2")
    own = Sorting()
    for _ in range(2):
        async with consuming(kafka, partial(own.declare, kafka.topic), limit=RUN) as consumers:
            await until(partial(lambda running: kafka.topic in running.failing, consumers))
        assert (own.values, own.next, await kafka.committed(kafka.topic)) == ([], {}, 0)


async def test_a_database_that_is_away_after_the_letters_costs_no_second_copy_of_them(
    kafka: Kafka,
) -> None:
    await kafka.put(kafka.topic, b"1", *bad(2), b"2")
    own = Sorting(AWAY, AWAY, AWAY)
    async with consuming(kafka, partial(own.declare, kafka.topic)) as consumers:
        await until(lambda: own.values == [b"1", b"2"])
        assert not consumers.failing
    assert await letters(kafka) == bad(2)


class Held(Producer):
    """A Kafka that accepts nothing for a while.

    It fails ``errors`` times, then does not answer until told to.
    """

    def __init__(self, kafka: Kafka, *errors: Exception) -> None:
        super().__init__(kafka.cluster, client_id="held")
        self._kafka, self._errors = kafka, list(errors)
        self.answers = asyncio.Event()

    @override
    async def send_all(
        self, messages: Sequence[Message], *, most: int = MAX_REQUEST_BYTES
    ) -> dict[int, int]:
        if self._errors:
            raise self._errors.pop(0)
        await self.answers.wait()
        return await self._kafka.producer.send_all(messages, most=most)


async def test_F38_while_no_dead_letter_can_be_kept_nothing_is_passed_and_it_goes_on_by_itself(
    kafka: Kafka,
) -> None:
    await kafka.put(kafka.topic, b"1", b"bad", b"2")
    reader, producer = Reader(), Held(kafka, KafkaConnectionError())
    async with consuming(
        kafka, lambda consumers: consumers.each(kafka.topic, reader.one), producer=producer
    ) as consumers:
        await until(
            lambda: "does not accept it as a dead letter" in consumers.failing.get(kafka.topic, "")
        )
        assert (reader.values, await kafka.committed(kafka.topic)) == ([b"1"], 1)
        producer.answers.set()
        await until(lambda: reader.values == [b"1", b"2"])
        await until(lambda: not consumers.failing)
    assert await letters(kafka) == [b"bad"]
    assert await kafka.committed(kafka.topic) == 3
    await producer.stop()


async def test_F38_what_was_waiting_for_its_letter_when_the_consumers_stopped_comes_again(
    kafka: Kafka,
) -> None:
    await kafka.put(kafka.topic, b"bad")
    producer = Held(kafka)
    async with consuming(
        kafka, lambda consumers: consumers.each(kafka.topic, Reader().one), producer=producer
    ) as consumers:
        await until(lambda: kafka.topic in consumers.failing)
    assert (await kafka.ends(dead_letters(kafka.topic)), await kafka.committed(kafka.topic)) == (
        0,
        0,
    )
    await producer.stop()
    async with consuming(kafka, lambda consumers: consumers.each(kafka.topic, Reader().one)):
        assert [one.value for one in await kafka.read(dead_letters(kafka.topic), 1)] == [b"bad"]
