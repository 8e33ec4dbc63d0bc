"""A real local broker on a free port with all topics, and what a test wants to put on them and read from them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from deploy.local.broker import Broker
from shared.contracts.envelope import Message
from shared.kafka import Consumers, Producer, ensure_topics


class Kafka:
    """``producer`` is real; ``bootstrap`` is where it is."""

    def __init__(self, bootstrap: str, producer: Producer) -> None:
        self.bootstrap, self.producer = bootstrap, producer

    async def put(self, topic: str, *values: bytes | None, key: bytes = b"k", **headers: bytes) -> None:
        named = tuple(headers.items())
        messages = [Message(topic=topic, key=key, value=value, headers=named) for value in values]
        await self.producer.send_all(messages)

    async def read(self, topic: str, count: int) -> list[ConsumerRecord[bytes, bytes]]:
        """The first ``count`` records of a topic, in any order of partitions."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        try:
            partitions = await self._partitions(consumer, topic)
            consumer.assign(partitions)
            found: list[ConsumerRecord[bytes, bytes]] = []
            async with asyncio.timeout(10):
                while len(found) < count:
                    for records in (await consumer.getmany(timeout_ms=100)).values():
                        found.extend(records)
            return found
        finally:
            await consumer.stop()

    async def _partitions(self, consumer: AIOKafkaConsumer, topic: str) -> Sequence[TopicPartition]:
        await consumer._client._wait_on_metadata(topic)
        return [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]


@asynccontextmanager
async def kafka_on(folder: Path) -> AsyncIterator[Kafka]:
    broker = Broker(folder / "kafka", port=0)
    await broker.start()
    try:
        bootstrap = f"127.0.0.1:{broker.port}"
        await ensure_topics(bootstrap, local=True)
        producer = Producer(bootstrap, client_id="test")
        await producer.start()
        try:
            yield Kafka(bootstrap, producer)
        finally:
            await producer.stop()
    finally:
        await broker.stop()


@asynccontextmanager
async def consuming(kafka: Kafka, declare: Callable[[Consumers], None]) -> AsyncIterator[Consumers]:
    consumers = Consumers(kafka.bootstrap, service="test", producer=kafka.producer)
    declare(consumers)
    await consumers.start()
    try:
        yield consumers
    finally:
        await consumers.stop()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110  # polls what other tasks do, which tell it in no other way
            await asyncio.sleep(0.01)
