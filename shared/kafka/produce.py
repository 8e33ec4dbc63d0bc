"""The producer: acks=all, idempotent, keyed; a message that was handed over is never abandoned."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog
from aiokafka import AIOKafkaProducer

from shared.contracts.envelope import Message

MAX_REQUEST_BYTES = 1_000_000
LINGER_MS = 2
LEAVE_S = 3.0

log = structlog.get_logger()


class Producer:
    """One per process and service."""

    def __init__(self, bootstrap: str, *, client_id: str) -> None:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            client_id=client_id,
            acks="all",
            enable_idempotence=True,
            linger_ms=LINGER_MS,
            max_batch_size=256 * 1024,
            max_request_size=MAX_REQUEST_BYTES,
            metadata_max_age_ms=60_000,
        )

    async def start(self) -> None:
        await self._producer.start()

    async def stop(self) -> None:
        """Flush and leave; while Kafka is away nothing can be flushed, and whoever sent it has not been told it was."""
        try:
            async with asyncio.timeout(LEAVE_S):
                await self._producer.stop()
        except TimeoutError:
            log.warning("producer_left_unflushed")

    async def send_all(self, messages: Sequence[Message]) -> dict[int, int]:
        """Send and wait for every acknowledgement, however long that takes.

        Returns partition → highest offset, of interest when all messages are of one topic. Messages of one key keep
        their order. The wait is shielded: an idempotent batch never expires, and a late append would win compaction.
        """
        sent = [
            await self._producer.send(
                message.topic, value=message.value, key=message.key, headers=list(message.headers)
            )
            for message in messages
        ]
        results = await asyncio.shield(asyncio.gather(*sent))
        highest: dict[int, int] = {}
        for result in results:
            if result.offset > highest.get(result.partition, -1):
                highest[result.partition] = result.offset
        return highest
