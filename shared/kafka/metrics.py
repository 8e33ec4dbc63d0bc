"""What is counted of consumers, and how far behind they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal, final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError
from prometheus_client.core import Metric

from shared.contracts.topics import dead_letters
from shared.kafka.record import ConsumedRecord
from shared.telemetry import Collector, Counter, gauge

State = Literal["reading", "waiting", "stopped"]
STATES: Final[tuple[State, ...]] = ("reading", "waiting", "stopped")
KNOWN_S: Final = 0.5
"""How long a scrape waits for a consumer that does not know yet where it stands."""

DEAD_LETTERS: Final = Counter(
    "tributary_dead_letters",
    "Messages kept because they could not be processed, by the topic that keeps them.",
    "topic",
)
COMMIT_FAILURES: Final = Counter(
    "tributary_commit_failures",
    "Commits of offsets that Kafka refused, by topic: the messages may be read again, here or elsewhere.",
    "topic",
)
READ: Final = Counter(
    "tributary_messages_read", "Messages that were read and had their outcome, by topic.", "topic"
)


def count_dead_letters(topic: str, count: int = 1) -> None:
    """Count messages of ``topic`` that have become dead letters."""
    DEAD_LETTERS.add(dead_letters(topic), by=count)


@final
class Reading:
    """Where the consumers of a service stand.

    A client's own position is past what was taken from Kafka; here a message counts until it has had its outcome.
    """

    def __init__(self, state: Callable[[str], State]) -> None:
        self._state = state
        self._consumers: dict[str, Callable[[], AIOKafkaConsumer]] = {}
        self._next: dict[TopicPartition, int] = {}

    def opened(self, topic: str, consumer: Callable[[], AIOKafkaConsumer]) -> None:
        self._consumers[topic] = consumer
        count_dead_letters(topic, 0)
        for counter in (COMMIT_FAILURES, READ):
            counter.add(topic, by=0)

    def taken(self, batch: Sequence[ConsumedRecord]) -> None:
        self._stand(batch[0].topic, {one.partition: one.offset for one in reversed(batch)})

    def passed(self, batch: Sequence[ConsumedRecord]) -> None:
        """These had their outcome: what Kafka is told of them can still fail."""
        READ.add(batch[0].topic, by=len(batch))
        self._stand(batch[0].topic, {one.partition: one.offset + 1 for one in batch})

    def done(self, batch: Sequence[ConsumedRecord]) -> None:
        """From here on the client's own position is true."""
        for partition in {one.partition for one in batch}:
            self._next.pop(TopicPartition(batch[0].topic, partition), None)

    def _stand(self, topic: str, offsets: Mapping[int, int]) -> None:
        self._next.update(
            {TopicPartition(topic, partition): offset for partition, offset in offsets.items()}
        )

    def collectors(self) -> Mapping[str, Collector]:
        return {"lag": self._lag, "consumers": self._states}

    async def _states(self) -> Iterable[Metric]:
        about = "1 for the state that a topic's consumer is in, else 0; a stopped one waits for a person."
        found = {
            (topic, str(one)): float(self._state(topic) == one)
            for topic in self._consumers
            for one in STATES
        }
        return [gauge("tributary_consumer_state", about, found, "topic", "state")]

    async def _lag(self) -> Iterable[Metric]:
        found = await asyncio.gather(*(self._behind(one()) for one in self._consumers.values()))
        about = "Messages between the end of a partition and what this process, which reads it, is done with."
        behind = {at: lag for of_one in found for at, lag in of_one.items()}
        return [gauge("tributary_consumer_lag_messages", about, behind, "topic", "partition")]

    async def _behind(self, consumer: AIOKafkaConsumer) -> Mapping[tuple[str, str], float]:
        """The end is asked from Kafka: what a consumer knows of it is as old as its last fetch."""
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
        except (TimeoutError, IllegalStateError):  # just given, or taken away meanwhile
            return None
        return position
