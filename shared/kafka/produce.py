"""Produce messages: acks=all, idempotent, keyed, and never abandoned once handed over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Final
from zlib import crc32

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder

from shared import clock
from shared.contracts.envelope import Message
from shared.kafka.client_config import client_options
from shared.kafka.client_safety import check_producer
from shared.kafka.sasl import signing_in
from shared.settings import Cluster

MAX_REQUEST_BYTES: Final = 1_000_000
OVERHEAD_BYTES: Final = 1_000
"""The most that a batch with one record adds."""
LINGER_MS: Final = 2
LEAVE_S: Final = 3.0

log = structlog.get_logger()
_Partition = tuple[str, int]
_Sent = tuple[Any, int]
"""The future of a batch's acknowledgement, and how many records it has."""


class Producer:
    """Send messages; one per process and service."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        client_id: str,
        make: Callable[..., AIOKafkaProducer] = AIOKafkaProducer,
    ) -> None:
        self._cluster = cluster
        self._producer = make(
            **client_options(cluster),
            client_id=client_id,
            acks="all",
            enable_idempotence=True,
            linger_ms=LINGER_MS,
            max_batch_size=256 * 1024,
            max_request_size=MAX_REQUEST_BYTES,
            metadata_max_age_ms=60_000,
        )

    async def start(self) -> None:
        """Connect. Raise ``UnsafeClient`` or ``SignInRefused``."""
        try:
            check_producer(self._producer)
            async with signing_in(self._cluster):
                await self._producer.start()
        except BaseException:
            await self._producer.stop()
            raise

    async def stop(self) -> None:
        """Flush and close.

        While Kafka is away nothing can be flushed. That is safe: no sender was told that its
        message has been stored.
        """
        try:
            async with asyncio.timeout(LEAVE_S):
                await self._producer.stop()
        except TimeoutError:
            log.warning("producer_left_unflushed")

    async def send_all(
        self, messages: Sequence[Message], *, most: int = MAX_REQUEST_BYTES
    ) -> dict[int, int]:
        """Send the messages and wait for every acknowledgement, however long that takes.

        Messages with one key keep their order. None may be larger than ``most`` bytes. Returns
        partition → highest offset, which is of use if all messages are on one topic.

        The wait is shielded, because an idempotent batch never expires in aiokafka: appended late,
        it would win over a newer value at compaction.
        """
        _refuse_oversized(messages, most)
        batches: list[_Sent] = []
        for at, some in (await self._by_partition(messages)).items():
            batches += await self._submit(at, some)
        acknowledged = await asyncio.shield(asyncio.gather(*(future for future, _ in batches)))
        highest: dict[int, int] = {}
        for stored, (_, count) in zip(acknowledged, batches, strict=True):
            last = stored.offset + count - 1
            highest[stored.partition] = max(highest.get(stored.partition, -1), last)
        return highest

    async def _by_partition(self, messages: Sequence[Message]) -> dict[_Partition, list[Message]]:
        """Group messages by topic and partition, which is the CRC-32 of the lane in the key.

        Kafka's own murmur2 takes 12 µs a key in Python. Consumers do not depend on it, and nobody
        else produces to these topics.
        """
        counts: dict[str, int] = {}
        for topic in {one.topic for one in messages}:
            counts[topic] = len(await self._producer.partitions_for(topic))
        found: dict[_Partition, list[Message]] = {}
        for message in messages:
            at = (message.topic, crc32(_lane(message.key)) % counts[message.topic])
            found.setdefault(at, []).append(message)
        return found

    async def _submit(self, at: _Partition, messages: Sequence[Message]) -> list[_Sent]:
        """Hand over whole batches; return (future, number of records) for each.

        A future for each message would cost more than the message.
        """
        sent: list[_Sent] = []
        batch, written_ms = self._producer.create_batch(), int(clock.now() * 1000)
        for one in messages:
            record: dict[str, Any] = {
                "timestamp": written_ms,
                "key": one.key,
                "value": one.value,
                "headers": list(one.headers),
            }
            while batch.append(**record) is None:
                sent.append(await self._send(batch, at))
                batch = self._producer.create_batch()
        sent.append(await self._send(batch, at))
        return sent

    async def _send(self, batch: BatchBuilder, at: _Partition) -> _Sent:
        topic, partition = at
        future = await self._producer.send_batch(batch, topic, partition=partition)
        return future, batch.record_count()


def _lane(key: bytes) -> bytes:
    """Return the key without an item's id.

    What is sent together then lies together: a page is one batch instead of forty.
    """
    return b"/".join(key.split(b"/", 2)[:2])


def _refuse_oversized(messages: Sequence[Message], most: int) -> None:
    for one in messages:
        headers = sum(map(len, chain.from_iterable(one.headers)))
        size = len(one.key) + len(one.value or b"") + headers
        if size > most - OVERHEAD_BYTES:
            raise MessageSizeTooLargeError(
                f"A message of {size} bytes for {one.topic} exceeds the limit of {most} bytes."
            )
