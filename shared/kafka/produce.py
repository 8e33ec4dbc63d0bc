"""The producer: acks=all, idempotent, keyed; a message that was handed over is never abandoned."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Final
from zlib import crc32

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from shared import clock
from shared.contracts.envelope import Message
from shared.kafka.client_config import client_options
from shared.kafka.client_safety import check_producer
from shared.kafka.sasl import signing_in
from shared.settings import Cluster

MAX_REQUEST_BYTES: Final = 1_000_000
OVERHEAD_BYTES: Final = 1_000
"""Of a batch with one record."""
LINGER_MS: Final = 2
LEAVE_S: Final = 3.0

log = structlog.get_logger()
_Partition = tuple[str, int]


class Producer:
    """One per process and service."""

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
        """Raises ``UnsafeClient`` or ``SignInRefused``."""
        try:
            check_producer(self._producer)
            async with signing_in(self._cluster):
                await self._producer.start()
        except BaseException:
            await self._producer.stop()
            raise

    async def stop(self) -> None:
        """Flush and leave; while Kafka is away nothing can be flushed, and whoever sent it has not been told it was."""
        try:
            async with asyncio.timeout(LEAVE_S):
                await self._producer.stop()
        except TimeoutError:
            log.warning("producer_left_unflushed")

    async def send_all(
        self, messages: Sequence[Message], *, most: int = MAX_REQUEST_BYTES
    ) -> dict[int, int]:
        """Send and wait for every acknowledgement, however long that takes. None may have more than ``most`` bytes.

        Returns partition → highest offset, of interest when all messages are of one topic. Messages of one key keep
        their order. The wait is shielded: an idempotent batch never expires, and a late append would win compaction.
        """
        _refuse_oversized(messages, most)
        sent = [
            await self._submit(at, some)
            for at, some in (await self._by_partition(messages)).items()
        ]
        batches = [batch for submitted in sent for batch in submitted]
        acknowledged = await asyncio.shield(asyncio.gather(*(future for future, _ in batches)))
        highest: dict[int, int] = {}
        for stored, (_, count) in zip(acknowledged, batches, strict=True):
            highest[stored.partition] = max(
                highest.get(stored.partition, -1), stored.offset + count - 1
            )
        return highest

    async def _by_partition(self, messages: Sequence[Message]) -> dict[_Partition, list[Message]]:
        """By topic and partition: CRC-32 of the key, of an item's without its id, so that a lane keeps its order.

        Kafka's own murmur2 costs 12 µs a key in Python; consumers do not depend on it, and no one else produces here.
        """
        counts = {
            topic: len(await self._producer.partitions_for(topic))
            for topic in {one.topic for one in messages}
        }
        found: dict[_Partition, list[Message]] = {}
        for message in messages:
            at = (message.topic, crc32(_lane(message.key)) % counts[message.topic])
            found.setdefault(at, []).append(message)
        return found

    async def _submit(self, at: _Partition, messages: Sequence[Message]) -> list[tuple[Any, int]]:
        """Whole batches, each as (future, number of records): a future per message costs more than the message."""
        topic, partition = at
        sent: list[tuple[Any, int]] = []
        batch, written_ms = self._producer.create_batch(), int(clock.now() * 1000)
        for one in messages:
            while (
                batch.append(
                    timestamp=written_ms, key=one.key, value=one.value, headers=list(one.headers)
                )
                is None
            ):
                sent.append(
                    (
                        await self._producer.send_batch(batch, topic, partition=partition),
                        batch.record_count(),
                    )
                )
                batch = self._producer.create_batch()
        sent.append(
            (
                await self._producer.send_batch(batch, topic, partition=partition),
                batch.record_count(),
            )
        )
        return sent


def _lane(key: bytes) -> bytes:
    """All but an item's id: what is sent together lies together, a page is one batch instead of forty."""
    return b"/".join(key.split(b"/", 2)[:2])


def _refuse_oversized(messages: Sequence[Message], most: int) -> None:
    for one in messages:
        headers = sum(map(len, chain.from_iterable(one.headers)))
        size = len(one.key) + len(one.value or b"") + headers
        if size > most - OVERHEAD_BYTES:
            raise MessageSizeTooLargeError(
                f"a message of {size} bytes for {one.topic}; {most} is the limit"
            )
