"""Resume a reader where its own database stands, not at the offset committed in Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from shared.transient import RETRY_S

log = structlog.get_logger()


class Positions(Protocol):
    """Load the positions of a reader with its own database: partition → next offset to read."""

    async def load(self, topic: str) -> Mapping[int, int]: ...


class SeekToPositions(ConsumerRebalanceListener):
    """Seek whenever partitions are assigned. Set ``consumer_of`` before the consumer starts."""

    def __init__(self, topic: str, positions: Positions) -> None:
        self._topic, self._positions = topic, positions
        self.consumer_of: Callable[[], AIOKafkaConsumer]

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        pass

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Seek each partition to its stored position.

        The partitions are paused meanwhile: while this waits for the database, the consumer would
        already fetch from the committed offset.
        """
        consumer = self.consumer_of()
        consumer.pause(*assigned)
        known = await self._known()
        for partition in assigned:
            consumer.seek(partition, known.get(partition.partition, 0))
        consumer.resume(*assigned)

    async def _known(self) -> Mapping[int, int]:
        """Return the positions, however long the database is away.

        Nothing may be read before they are known: aiokafka would swallow an error and read from the
        wrong offset.
        """
        while True:
            try:
                return await self._positions.load(self._topic)
            except Exception as error:  # noqa: BLE001  # see above
                log.warning("positions_unknown", topic=self._topic, error=str(error)[:200])
                await asyncio.sleep(RETRY_S)
