"""Consumers that lose nothing: raw bytes in, one outcome per message (see ``deliver``), offsets committed by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import ConsumerStoppedError, KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker

from shared.kafka.dead_letters import DeadLetters
from shared.kafka.deliver import Delivery, Many
from shared.kafka.produce import Producer
from shared.kafka.received import Received, undecoded, untouched
from shared.kafka.seek import Positions, SeekToPositions

BATCH = 1000
POLL_MS = 50
GATHER_S = 0.03
"""A pause between batches: what comes meanwhile makes one larger batch, which costs less than several small ones."""
LEAVE_S = 1.0
"""How long a handler may go on when the consumers stop; what it had not finished comes again."""

One = Callable[[Received], Awaitable[None]]
OnBatch = Callable[[list[Received], AIOKafkaConsumer], Awaitable[None]]

log = structlog.get_logger()


class Consumers:
    """All consumers of one service: ``each`` and ``batches`` declare them, ``start`` and ``stop`` run them."""

    def __init__(self, bootstrap: str, *, service: str, producer: Producer) -> None:
        self._service = service
        self._letters = DeadLetters(producer, service=service)
        self._delivery = Delivery(self._letters)
        self._stopping = False
        self._broker = KafkaBroker(
            bootstrap,
            client_id=service,
            ack_policy=AckPolicy.MANUAL,
            allow_auto_create_topics=False,
            graceful_timeout=LEAVE_S,
            apply_types=False,
            logger=None,
        )
        self.failing = self._delivery.failing
        """Topic → what its consumer is waiting for; empty when all is well."""

    async def start(self) -> None:
        await self._broker.start()

    async def stop(self) -> None:
        self._stopping = True
        await self._broker.stop()

    def each(self, topic: str, handle: One) -> None:
        """One message at a time, its offset committed when ``handle`` has returned."""

        async def one_by_one(batch: list[Received], consumer: AIOKafkaConsumer) -> None:
            for received in batch:
                if self._stopping:
                    return
                await self._delivery.deliver([received], lambda messages: handle(messages[0]))
                await _commit(consumer, received)

        self._subscribe(topic, one_by_one, listener=None, records=100)

    def batches(self, topic: str, handle: Many, positions: Positions) -> None:
        """Whole batches; ``handle`` writes its position with them, and reading goes on from there after any restart.

        Kafka's committed offset then only tells the lag.
        """

        async def whole(batch: list[Received], consumer: AIOKafkaConsumer) -> None:
            await self._delivery.deliver(batch, handle)
            await _commit(consumer, *{received.partition: received for received in batch}.values())
            await asyncio.sleep(GATHER_S)

        listener = SeekToPositions(topic, positions)
        listener.consumer_of = self._subscribe(topic, whole, listener=listener, records=BATCH)

    async def dead_letter(self, received: Received, error: Exception) -> None:
        """For a handler that sorts out what it cannot read; returns once the message is kept."""
        await self._letters.keep(received, error)

    def _subscribe(
        self, topic: str, handle: OnBatch, *, listener: ConsumerRebalanceListener | None, records: int
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
            parser=untouched,
            decoder=undecoded,
        )

        def consumer() -> AIOKafkaConsumer:
            if subscriber.consumer is None:
                raise RuntimeError(f"the consumer of {topic} is not running")
            return subscriber.consumer

        @subscriber
        async def _on_batch(batch: list[Received]) -> None:
            await handle(batch, consumer())

        return consumer


async def _commit(consumer: AIOKafkaConsumer, *read: Received) -> None:
    """Tell Kafka how far each partition was read; ``read`` has the last record of each."""
    try:
        await consumer.commit({TopicPartition(one.topic, one.partition): one.offset + 1 for one in read})
    except (KafkaError, ConsumerStoppedError) as error:
        # The group moved on without us: whoever has the partition now reads the message again, which is harmless.
        log.warning("commit_failed", topic=read[0].topic, error=type(error).__name__)
