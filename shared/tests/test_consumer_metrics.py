"""Metrics of consumers: lag, state, and what became of their messages."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from sqlalchemy.exc import OperationalError

from shared.contracts.envelope import Undecodable
from shared.contracts.topics import dead_letters
from shared.kafka import ConsumedRecord, Consumers
from shared.telemetry import Scrape
from shared.tests.kafka_harness import Kafka, consuming
from shared.tests.scraped import Metrics, rise
from tests.support.waiting import until

AWAY = OperationalError("select", {}, Exception("the disk is away"))
LAG = "tributary_consumer_lag_messages"
STATE = "tributary_consumer_state"


class Gate:
    """A handler that lets a number of messages pass and then waits.

    It fails while it has errors.
    """

    def __init__(self, opens: int = 0) -> None:
        self.opens = asyncio.Semaphore(opens)
        self.errors: list[Exception] = []

    async def one(self, record: ConsumedRecord) -> None:
        if self.errors:
            raise self.errors[0]
        await self.opens.acquire()

    async def many(self, batch: list[ConsumedRecord]) -> None:
        for record in batch:
            await self.one(record)

    async def load(self, topic: str) -> Mapping[int, int]:
        return {}


async def scrape(consumers: Consumers) -> Metrics:
    return Metrics((await Scrape(consumers.collectors).text()).decode())


async def seen(consumers: Consumers, name: str, value: float, **labels: str) -> Metrics:
    """Return the first scrape that shows ``value``."""

    async def shown() -> Metrics | None:
        values = await scrape(consumers)
        return values if values.get(name, **labels) == value else None

    found: Metrics = await until(shown)
    return found


async def test_lag_is_what_is_not_settled_though_it_has_been_taken_from_kafka(kafka: Kafka) -> None:
    gate = Gate(opens=2)
    await kafka.put(kafka.topic, *[b"x"] * 5)
    async with consuming(
        kafka, lambda consumers: consumers.each(kafka.topic, gate.one)
    ) as consumers:
        values = await seen(consumers, LAG, 3, topic=kafka.topic)
        assert values("tributary_scrape_collector_failed", collector="lag") == 0
        await kafka.put(kafka.topic, b"x", b"x")
        await seen(consumers, LAG, 5, topic=kafka.topic)
        for _ in range(5):
            gate.opens.release()
        await seen(consumers, LAG, 0, topic=kafka.topic)


async def test_a_batch_counts_as_lag_until_it_is_stored(kafka: Kafka) -> None:
    gate = Gate()
    await kafka.put(kafka.topic, *[b"x"] * 4)
    async with consuming(
        kafka, lambda consumers: consumers.batches(kafka.topic, gate.many, gate)
    ) as consumers:
        await seen(consumers, LAG, 4, topic=kafka.topic)
        for _ in range(3):
            gate.opens.release()
        assert (await scrape(consumers))(LAG, topic=kafka.topic) == 4
        gate.opens.release()
        await seen(consumers, LAG, 0, topic=kafka.topic)


async def test_lag_is_told_by_partition(kafka: Kafka) -> None:
    gate = Gate()
    await kafka.put(kafka.topic, b"x", b"x", key=b"one")
    async with consuming(
        kafka, lambda consumers: consumers.each(kafka.topic, gate.one)
    ) as consumers:
        values = await seen(consumers, LAG, 2, topic=kafka.topic)
        behind = [
            sample.value
            for family in values.families
            if family.name == LAG
            for sample in family.samples
        ]
        assert sorted(behind) == [0, 0, 0, 2]
        gate.opens.release()
        gate.opens.release()


async def test_a_consumer_that_waits_says_so_and_reads_again_afterwards(kafka: Kafka) -> None:
    gate = Gate(opens=1)
    gate.errors = [AWAY]
    await kafka.put(kafka.topic, b"x")
    async with consuming(
        kafka, lambda consumers: consumers.each(kafka.topic, gate.one)
    ) as consumers:
        values = await seen(consumers, STATE, 1, topic=kafka.topic, state="waiting")
        assert (
            values(STATE, topic=kafka.topic, state="reading"),
            values(STATE, topic=kafka.topic),
        ) == (0, 1)
        gate.errors.clear()
        await seen(consumers, STATE, 1, topic=kafka.topic, state="reading")


async def test_a_consumer_that_has_stopped_says_so_and_its_lag_stays(kafka: Kafka) -> None:
    gate = Gate()
    gate.errors = [Undecodable("malformed", "poison")]
    await kafka.put(kafka.topic, *[b"x"] * 200)
    async with consuming(
        kafka, lambda consumers: consumers.each(kafka.topic, gate.one)
    ) as consumers:
        values = await seen(consumers, STATE, 1, topic=kafka.topic, state="stopped")
        kept = values("tributary_dead_letters_total", topic=dead_letters(kafka.topic))
        assert 0 < kept < 200
        assert values(LAG, topic=kafka.topic) == 200 - kept


async def test_each_dead_letter_is_counted_under_the_topic_that_keeps_it(kafka: Kafka) -> None:
    gate = Gate(opens=1)
    gate.errors = [Undecodable("malformed", "poison")]
    async with consuming(
        kafka, lambda consumers: consumers.each(kafka.topic, gate.one)
    ) as consumers:
        before = await scrape(consumers)
        assert before("tributary_dead_letters_total", topic=dead_letters(kafka.topic)) >= 0
        await kafka.put(kafka.topic, b"poison")
        wanted = before("tributary_dead_letters_total", topic=dead_letters(kafka.topic)) + 1
        await seen(
            consumers, "tributary_dead_letters_total", wanted, topic=dead_letters(kafka.topic)
        )
        gate.errors.clear()
        await kafka.put(kafka.topic, b"good")
        await seen(consumers, LAG, 0, topic=kafka.topic)
        risen = rise(before, await scrape(consumers))
    assert risen("tributary_dead_letters_total") == 1
    assert risen("tributary_messages_read_total", topic=kafka.topic) == 2


async def test_a_commit_after_the_partition_has_moved_on_is_counted(kafka: Kafka) -> None:
    gate = Gate()
    for number in range(40):
        await kafka.put(kafka.topic, b"x", key=b"%d" % number)
    async with consuming(kafka, lambda consumers: consumers.each(kafka.topic, gate.one)) as first:
        before = await seen(first, LAG, 40, topic=kafka.topic)
        async with consuming(
            kafka, lambda consumers: consumers.each(kafka.topic, gate.one)
        ) as second:
            await until_shared(first, second)
            for _ in range(80):
                gate.opens.release()
            await seen(first, LAG, 0, topic=kafka.topic)
            await seen(second, LAG, 0, topic=kafka.topic)
            risen = rise(before, await scrape(second))
    assert 0 < risen("tributary_commit_failures_total", topic=kafka.topic) <= 40


def partitions(values: Metrics) -> int:
    return sum(len(family.samples) for family in values.families if family.name == LAG)


async def until_shared(first: Consumers, second: Consumers) -> None:
    """Wait until each of the two reads half of the four partitions."""

    async def shared() -> bool:
        return [partitions(await scrape(one)) for one in (first, second)] == [2, 2]

    await until(shared)
