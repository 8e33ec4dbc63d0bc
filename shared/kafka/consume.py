"""Consumers that lose nothing: raw bytes in, one outcome per message, offsets committed by hand.

What a handler may raise, and what then happens:

    Undecodable    it will never work: to the dead letters (awaited), then on
    Away           the database or Kafka is away: the same again after a pause, for as long as it takes
    anything else  a fault of ours: tried ``ATTEMPTS`` times, then to the dead letters
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Protocol

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import FAKE_CONSUMER, KafkaAckableMessage, KafkaMessage
from sqlalchemy.exc import InterfaceError, OperationalError

from shared.contracts.envelope import Message, Undecodable
from shared.contracts.topics import dead_letters
from shared.kafka.produce import Producer

ATTEMPTS = 3
PAUSE_S = 0.5
BATCH = 1000
POLL_MS = 50
AWAY = (OperationalError, InterfaceError, KafkaError, OSError)

log = structlog.get_logger()


class Received(msgspec.Struct, frozen=True):
    """A record as it came: bytes and headers, nothing decoded."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


One = Callable[[Received], Awaitable[None]]
Many = Callable[[list[Received]], Awaitable[None]]


class Positions(Protocol):
    """Where a reader with a database of its own has come to: partition → next offset to read."""

    async def load(self, topic: str) -> Mapping[int, int]: ...


class Consumers:
    """All consumers of one service: ``each`` and ``batches`` declare them, ``start`` and ``stop`` run them."""

    def __init__(self, bootstrap: str, *, service: str, producer: Producer) -> None:
        self._service, self._producer = service, producer
        self._broker = KafkaBroker(
            bootstrap, client_id=service, ack_policy=AckPolicy.MANUAL, apply_types=False, logger=None
        )
        self.failing: dict[str, str] = {}
        """Topic → what its consumer is waiting for; empty when all is well."""

    async def start(self) -> None:
        await self._broker.start()

    async def stop(self) -> None:
        await self._broker.stop()

    def each(self, topic: str, handle: One) -> None:
        """One message at a time, its offset committed when ``handle`` has returned."""

        async def one_by_one(batch: list[Received], consumer: AIOKafkaConsumer) -> None:
            for received in batch:
                await self._deliver([received], lambda messages: handle(messages[0]))
                await _commit(consumer, received)

        self._subscribe(topic, one_by_one, listener=None, records=100)

    def batches(self, topic: str, handle: Many, positions: Positions) -> None:
        """Whole batches; ``handle`` writes its position with them, and reading goes on from there after any restart.

        Kafka's committed offset then only tells the lag.
        """

        async def whole(batch: list[Received], consumer: AIOKafkaConsumer) -> None:
            await self._deliver(batch, handle)
            for last in {received.partition: received for received in batch}.values():
                await _commit(consumer, last)

        listener = _SeekToPositions(topic, positions)
        listener.consumer_of = self._subscribe(topic, whole, listener=listener, records=BATCH)

    async def dead_letter(self, received: Received, error: Exception, attempts: int = 1) -> None:
        """Keep the original bytes with where they came from and why; returns once they are on disk."""
        headers = (
            *received.headers,
            ("dlq_topic", received.topic.encode()),
            ("dlq_partition", str(received.partition).encode()),
            ("dlq_offset", str(received.offset).encode()),
            ("dlq_service", self._service.encode()),
            ("dlq_error", f"{getattr(error, 'code', type(error).__name__)}: {error}"[:1000].encode()),
            ("dlq_attempts", str(attempts).encode()),
        )
        log.warning("dead_letter", topic=received.topic, offset=received.offset, error=str(error)[:200])
        topic = dead_letters(received.topic)
        await self._producer.send_all([Message(topic=topic, key=received.key, value=received.value, headers=headers)])

    async def _deliver(self, batch: list[Received], handle: Many) -> None:
        attempts = 0
        while True:
            try:
                await handle(batch)
            except AWAY as error:
                self.failing[batch[0].topic] = f"{type(error).__name__}: waiting for it to come back"
                log.warning("consumer_waits", topic=batch[0].topic, error=str(error)[:200])
                await asyncio.sleep(PAUSE_S)
            except Exception as error:  # whatever it is, the message must not be lost
                attempts += 1
                if isinstance(error, Undecodable) or attempts >= ATTEMPTS:
                    return await self._isolate(batch, handle, error, attempts)
                log.warning("handler_failed", topic=batch[0].topic, attempt=attempts, exc_info=error)
                await asyncio.sleep(PAUSE_S)
            else:
                self.failing.pop(batch[0].topic, None)
                return None

    async def _isolate(self, batch: list[Received], handle: Many, error: Exception, attempts: int) -> None:
        """A batch of one goes to the dead letters; of a longer one each message gets its own chance."""
        if len(batch) == 1:
            await self.dead_letter(batch[0], error, attempts)
            return
        for received in batch:
            await self._deliver([received], handle)

    def _subscribe(
        self,
        topic: str,
        handle: Callable[[list[Received], AIOKafkaConsumer], Awaitable[None]],
        *,
        listener: ConsumerRebalanceListener | None,
        records: int,
    ) -> Callable[[], AIOKafkaConsumer]:
        subscriber = self._broker.subscriber(
            topic,
            group_id=f"tributary.{self._service}.{topic}",  # of its own: one group would rebalance at each start
            batch=True,
            batch_timeout_ms=POLL_MS,
            max_records=records,
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest",
            no_reply=True,
            listener=listener,
            parser=_untouched,
            decoder=_undecoded,
        )

        def consumer() -> AIOKafkaConsumer:
            if subscriber.consumer is None:
                raise RuntimeError(f"the consumer of {topic} is not running")
            return subscriber.consumer

        @subscriber
        async def _on_batch(batch: list[Received]) -> None:
            await handle(batch, consumer())

        return consumer


class _SeekToPositions(ConsumerRebalanceListener):
    def __init__(self, topic: str, positions: Positions) -> None:
        self._topic, self._positions = topic, positions
        self.consumer_of: Callable[[], AIOKafkaConsumer]

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        pass

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        known = await self._positions.load(self._topic)
        for partition in assigned:
            self.consumer_of().seek(partition, known.get(partition.partition, 0))


async def _commit(consumer: AIOKafkaConsumer, received: Received) -> None:
    try:
        await consumer.commit({TopicPartition(received.topic, received.partition): received.offset + 1})
    except KafkaError as error:
        # The group moved on without us: whoever has the partition now reads the message again, which is harmless.
        log.warning("commit_failed", topic=received.topic, offset=received.offset, error=type(error).__name__)


async def _untouched(records: tuple[ConsumerRecord[bytes, bytes], ...]) -> KafkaMessage:
    """Instead of FastStream's parser, which raises on a header that is not UTF-8 and so skips the message."""
    return KafkaAckableMessage(body=b"", headers={}, raw_message=records, consumer=FAKE_CONSUMER)


async def _undecoded(message: KafkaMessage) -> list[Received]:
    return [_received(record) for record in message.raw_message]


def _received(record: ConsumerRecord[bytes, bytes]) -> Received:
    return Received(
        record.topic,
        record.partition,
        record.offset,
        record.key or b"",
        record.value,
        tuple((name, value or b"") for name, value in record.headers or ()),
    )
