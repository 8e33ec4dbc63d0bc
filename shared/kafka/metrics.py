"""Count what consumers do, and measure how far behind they are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal, final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError
from prometheus_client.core import Metric

from shared.contracts.topics import dead_letters
from shared.kafka.record import ConsumedRecord
from shared.telemetry import Collector, Counter, gauge

TopicState = Literal["reading", "waiting", "stopped"]
STATES: Final[tuple[TopicState, ...]] = ("reading", "waiting", "stopped")
KNOWN_S: Final = 0.5
"""The time a scrape waits for a consumer that does not know its position yet."""

DEAD_LETTERS: Final = Counter(
    "tributary_dead_letters",
    "Messages that could not be processed and were kept, by the topic that keeps them.",
    "topic",
)
COMMIT_FAILURES: Final = Counter(
    "tributary_commit_failures",
    "Offset commits that Kafka refused, by topic. Their messages may be read again.",
    "topic",
)
READ: Final = Counter(
    "tributary_messages_read", "Messages that were read and dealt with, by topic.", "topic"
)


def count_dead_letters(topic: str, count: int = 1) -> None:
    """Count messages of ``topic`` that have become dead letters."""
    DEAD_LETTERS.add(dead_letters(topic), by=count)


@final
class Reading:
    """Track where the consumers of a service are.

    A client's own position is past everything it has fetched. Here a message counts as read only
    once it had its outcome.
    """

    def __init__(self, state: Callable[[str], TopicState], *, stuck_after_s: float) -> None:
        self._state, self._stuck_after_s = state, stuck_after_s
        self._moved_at: dict[str, float] = {}
        self._consumers: dict[str, Callable[[], AIOKafkaConsumer]] = {}
        self._next: dict[TopicPartition, int] = {}

    def opened(self, topic: str, consumer: Callable[[], AIOKafkaConsumer]) -> None:
        self._consumers[topic] = consumer
        count_dead_letters(topic, 0)
        for counter in (COMMIT_FAILURES, READ):
            counter.add(topic, by=0)

    def started(self) -> None:
        for topic in self._consumers:
            self.moved(topic)

    def moved(self, topic: str) -> None:
        """Note that a consumer asked for messages, or that some had their outcome."""
        self._moved_at[topic] = time.monotonic()

    @property
    def stuck(self) -> Mapping[str, str]:
        """Return topic → since when its consumer has done nothing, if that is too long.

        A consumer without messages asks for some each second.
        """
        still = {topic: time.monotonic() - at for topic, at in self._moved_at.items()}
        return {
            topic: f"nothing was read for {seconds:.0f} s: the handler of a message does not end"
            for topic, seconds in still.items()
            if seconds > self._stuck_after_s
        }

    def taken(self, batch: Sequence[ConsumedRecord]) -> None:
        self._stand(batch[0].topic, {one.partition: one.offset for one in reversed(batch)})

    def passed(self, batch: Sequence[ConsumedRecord]) -> None:
        """Count messages that had their outcome. Committing their offsets can still fail."""
        READ.add(batch[0].topic, by=len(batch))
        self.moved(batch[0].topic)
        self._stand(batch[0].topic, {one.partition: one.offset + 1 for one in batch})

    def done(self, batch: Sequence[ConsumedRecord]) -> None:
        """Forget positions: from here on the client's own position is right."""
        for partition in {one.partition for one in batch}:
            self._next.pop(TopicPartition(batch[0].topic, partition), None)

    def _stand(self, topic: str, offsets: Mapping[int, int]) -> None:
        self._next.update(
            {TopicPartition(topic, partition): offset for partition, offset in offsets.items()}
        )

    def collectors(self) -> Mapping[str, Collector]:
        return {"lag": self._lag, "consumers": self._states}

    async def _states(self) -> Iterable[Metric]:
        about = "1 for the state of a topic's consumer, else 0. A stopped one waits for a person."
        found = {
            (topic, str(one)): float(self._state(topic) == one)
            for topic in self._consumers
            for one in STATES
        }
        return [gauge("tributary_consumer_state", about, found, "topic", "state")]

    async def _lag(self) -> Iterable[Metric]:
        found = await asyncio.gather(*(self._behind(one()) for one in self._consumers.values()))
        about = "Messages of a partition that its reader, this process, has not dealt with yet."
        behind = {at: lag for of_one in found for at, lag in of_one.items()}
        return [gauge("tributary_consumer_lag_messages", about, behind, "topic", "partition")]

    async def _behind(self, consumer: AIOKafkaConsumer) -> Mapping[tuple[str, str], float]:
        """Return the lag of each partition of a consumer.

        Kafka is asked for the end: what the consumer knows of it is as old as its last fetch.
        """
        ends: Mapping[TopicPartition, int] = await consumer.end_offsets(consumer.assignment())
        at = await asyncio.gather(*(self._position(consumer, partition) for partition in ends))
        return {
            (partition.topic, str(partition.partition)): max(0, end - position)
            for (partition, end), position in zip(ends.items(), at, strict=True)
            if position is not None
        }

    async def _position(self, consumer: AIOKafkaConsumer, partition: TopicPartition) -> int | None:
        if partition in self._next:
            return self._next[partition]
        try:
            async with asyncio.timeout(KNOWN_S):
                position: int = await consumer.position(partition)
        except (TimeoutError, IllegalStateError):  # assigned just now, or revoked meanwhile
            return None
        return position
