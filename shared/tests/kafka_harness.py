"""Provide a Kafka with all our topics and one of the test's own.

Tests put messages on them and read them back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from shared.contracts.envelope import Message
from shared.contracts.topics import dead_letters
from shared.kafka import Consumers, Producer
from shared.settings import Cluster
from tests.support.kafka import local_kafka
from tests.support.waiting import PATIENCE_S


class Kafka:
    """A Kafka for one test. ``producer`` is a real one, ``bootstrap`` the address.

    ``topic`` and its dead letters belong to this test alone.
    """

    def __init__(self, bootstrap: str, producer: Producer) -> None:
        self.bootstrap, self.producer = bootstrap, producer
        self.topic = f"test.{uuid4().hex}"
        self.cluster = Cluster(bootstrap=bootstrap)

    async def another(self) -> str:
        """Create one more topic, with its dead letters."""
        topic = f"test.{uuid4().hex}"
        await _made(self.bootstrap, topic, dead_letters(topic))
        return topic

    async def committed(self, topic: str, *, service: str = "test") -> int:
        """Return how many messages of a topic the service's group has dealt with."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, group_id=f"tributary.{service}.{topic}"
        )
        await consumer.start()
        try:
            offsets = [
                await consumer.committed(partition) for partition in await self._partitions(topic)
            ]
        finally:
            await consumer.stop()
        return sum(offset or 0 for offset in offsets)

    async def ends(self, topic: str) -> int:
        """Return how many messages the topic has."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap)
        await consumer.start()
        try:
            return sum((await consumer.end_offsets(await self._partitions(topic))).values())
        finally:
            await consumer.stop()

    async def put(
        self, topic: str, *values: bytes | None, key: bytes = b"k", **headers: bytes
    ) -> None:
        named = tuple(headers.items())
        messages = [Message(topic=topic, key=key, value=value, headers=named) for value in values]
        await self.producer.send_all(messages)

    async def read(self, topic: str, count: int) -> list[ConsumerRecord[bytes, bytes]]:
        """Return the first ``count`` records of a topic, in any order of partitions."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        try:
            consumer.assign(await self._partitions(topic))
            found: list[ConsumerRecord[bytes, bytes]] = []
            async with asyncio.timeout(PATIENCE_S):
                while len(found) < count:
                    for records in (await consumer.getmany(timeout_ms=100)).values():
                        found.extend(records)
            return found
        finally:
            await consumer.stop()

    async def _partitions(self, topic: str) -> Sequence[TopicPartition]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            (found,) = await admin.describe_topics([topic])
        finally:
            await admin.close()
        return [TopicPartition(topic, one["partition"]) for one in found["partitions"]]


@asynccontextmanager
async def kafka_on(folder: Path) -> AsyncIterator[Kafka]:
    """Start the local broker on a free port."""
    async with local_kafka(folder / "kafka") as bootstrap, kafka_at(bootstrap) as kafka:
        yield kafka


@asynccontextmanager
async def kafka_at(bootstrap: str) -> AsyncIterator[Kafka]:
    """Use a running Kafka, with those of our topics that it has."""
    producer = Producer(Cluster(bootstrap=bootstrap), client_id="test")
    await producer.start()
    try:
        kafka = Kafka(bootstrap, producer)
        await _made(bootstrap, kafka.topic, dead_letters(kafka.topic))
        yield kafka
    finally:
        await producer.stop()


async def _made(bootstrap: str, *topics: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        answer = await admin.create_topics([NewTopic(topic, 4, 1) for topic in topics])
        assert all(code == 0 for _, code, *_ in answer.topic_errors), answer
    finally:
        await admin.close()


@asynccontextmanager
async def consuming(
    kafka: Kafka,
    declare: Callable[[Consumers], None],
    *,
    producer: Producer | None = None,
    **options: Any,
) -> AsyncIterator[Consumers]:
    consumers = Consumers(
        kafka.cluster, service="test", producer=producer or kafka.producer, **options
    )
    declare(consumers)
    await consumers.start()
    try:
        yield consumers
    finally:
        await consumers.stop()
