"""Run the consumers of a service so that no message is lost.

A handler gets raw bytes, each message has exactly one outcome (see ``deliver``), and offsets are
committed by hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, ConsumerStoppedError, KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker

from shared.failpoints import failpoint
from shared.kafka.client_config import security
from shared.kafka.client_safety import check_consumers, check_subscribers
from shared.kafka.dead_letter_limit import DeadLetterLimit
from shared.kafka.dead_letters import DeadLetters
from shared.kafka.deliver import Delivery, Many
from shared.kafka.metrics import COMMIT_FAILURES, Reading, TopicState
from shared.kafka.poll import Poll, Rewind, rewind_to_committed
from shared.kafka.produce import Producer
from shared.kafka.record import ConsumedRecord, undecoded, untouched
from shared.kafka.sasl import check_sign_in
from shared.kafka.seek import Positions, SeekToPositions
from shared.settings import Cluster
from shared.telemetry import Collector
from shared.transient import RETRY_S

BATCH: Final = 1000
"""The most records in one transaction of a handler of batches."""
GATHER_S: Final = 0.1
"""The pause between two batches. Messages that arrive meanwhile make one larger batch, which costs
less than several small ones."""
FETCH_BYTES: Final = 2 * 1024 * 1024
"""The most bytes of one partition in a fetch. With aiokafka's default of 1 MiB, a pause after every
300 usual items would limit the speed of a large account."""
STUCK_S: Final = 60.0
"""The time without an outcome after which readiness turns red. A batch takes about a second."""
LEAVE_S: Final = 1.0
"""The time a handler has to finish when the consumers stop. Unfinished messages come again."""

One = Callable[[ConsumedRecord], Awaitable[None]]
OnBatch = Callable[[list[ConsumedRecord], AIOKafkaConsumer], Awaitable[None]]

log = structlog.get_logger()


class Consumers:
    """Hold all consumers of one service: declare with ``each`` and ``batches``, then ``start``."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        service: str,
        producer: Producer,
        limit: DeadLetterLimit | None = None,
        stuck_after_s: float = STUCK_S,
    ) -> None:
        self._cluster, self._service = cluster, service
        self._delivery = Delivery(
            DeadLetters(producer, service=service), limit or DeadLetterLimit()
        )
        self._reading = Reading(self._state, stuck_after_s=stuck_after_s)
        self._unreadable: dict[str, str] = {}
        self._checked = asyncio.Event()
        self._stopping = False
        self.broker = KafkaBroker(
            cluster.bootstrap.split(","),
            security=security(cluster),
            client_id=service,
            ack_policy=AckPolicy.MANUAL,
            allow_auto_create_topics=False,
            graceful_timeout=LEAVE_S,
            apply_types=False,
            logger=None,
        )

    @property
    def failing(self) -> Mapping[str, str]:
        """Return topic → what its consumer is waiting for. Empty when all is well."""
        return {**self._reading.stuck, **self._unreadable, **self._delivery.failing}

    def collectors(self) -> Mapping[str, Collector]:
        """Return the collectors of lag and states for ``/metrics``."""
        return self._reading.collectors()

    def _state(self, topic: str) -> TopicState:
        if topic in self._delivery.stopped:
            return "stopped"
        return "waiting" if topic in self.failing else "reading"

    async def start(self) -> None:
        """Start reading. Raise ``UnsafeClient`` or ``SignInRefused`` before the first record."""
        check_subscribers(self.broker)
        await check_sign_in(self._cluster)
        try:
            await self.broker.start()
            check_consumers(self.broker)
        except BaseException:
            await self.broker.stop()
            raise
        self._reading.started()
        self._checked.set()

    async def stop(self) -> None:
        self._stopping = True
        await self.broker.stop()

    def each(self, topic: str, handle: One) -> None:
        """Handle one message at a time, and commit its offset when ``handle`` has returned."""

        async def one_by_one(batch: list[ConsumedRecord], consumer: AIOKafkaConsumer) -> None:
            for record in batch:
                if self._stopping:
                    return
                if not await self._delivery.deliver([record], lambda messages: handle(messages[0])):
                    return
                self._reading.passed([record])
                failpoint("before_commit")
                await _commit(consumer, topic, _after(record))

        self._subscribe(topic, one_by_one, listener=None, rewind=rewind_to_committed, records=100)

    def batches(self, topic: str, handle: Many, positions: Positions) -> None:
        """Handle whole batches that store their own position.

        ``handle`` writes the position with its rows, and reading continues there after a restart.
        The offset committed in Kafka then only serves to show the lag.
        """

        async def whole(batch: list[ConsumedRecord], consumer: AIOKafkaConsumer) -> None:
            committed = True
            for start in range(0, len(batch), BATCH):
                part = batch[start : start + BATCH]
                if self._stopping or not await self._delivery.deliver(part, handle):
                    return
                self._reading.passed(part)
                newest = {record.partition: record for record in part}.values()
                committed = await _commit(consumer, topic, _after(*newest)) and committed
            # Nothing is read again after a rebalance, so without this the lag would stay too large
            # until the next message of each partition.
            while not committed and not self._stopping:
                await asyncio.sleep(RETRY_S)
                partitions = consumer.assignment()
                at = {partition: await consumer.position(partition) for partition in partitions}
                committed = not at or await _commit(consumer, topic, at)
            await asyncio.sleep(GATHER_S)

        async def rewind(consumer: AIOKafkaConsumer) -> None:
            await listener.on_partitions_assigned(consumer.assignment())

        listener = SeekToPositions(topic, positions)
        # No limit of records: with some left over, aiokafka asks only for the other partitions, and
        # asks for this one again when that request ends, half a second later on a calm topic.
        listener.consumer_of = self._subscribe(
            topic, whole, listener=listener, rewind=rewind, records=None
        )

    async def dead_letter(self, record: ConsumedRecord, error: Exception) -> None:
        """Keep one message as a dead letter; return once it is stored.

        For a handler that sorts out bad messages by itself. Such a handler must not catch
        ``LimitReached``.
        """
        await self._delivery.dead_letter(record, error)

    def _subscribe(
        self,
        topic: str,
        handle: OnBatch,
        *,
        listener: ConsumerRebalanceListener | None,
        rewind: Rewind,
        records: int | None,
    ) -> Callable[[], AIOKafkaConsumer]:
        subscriber = self.broker.subscriber(
            topic,
            # A group for each topic: with a common one, every consumer that starts would make
            # all others rebalance.
            group_id=f"tributary.{self._service}.{topic}",
            batch=True,
            max_records=records,
            max_partition_fetch_bytes=FETCH_BYTES,
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest",
            no_reply=True,
            listener=listener,
            parser=untouched,
            decoder=undecoded,
        )
        asked = partial(self._reading.moved, topic)
        poll = Poll(subscriber, topic, rewind, self._unreadable, asked=asked)
        subscriber.get_msg = poll  # type: ignore[method-assign]

        def consumer() -> AIOKafkaConsumer:
            if subscriber.consumer is None:
                raise RuntimeError(f"the consumer of {topic} is not running")
            return subscriber.consumer

        self._reading.opened(topic, consumer)

        @subscriber
        async def _on_batch(batch: list[ConsumedRecord]) -> None:
            # Subscribers read as soon as the broker starts, before their settings can be checked.
            await self._checked.wait()
            try:
                await self._hand_over(batch, handle, consumer())
            except Exception as error:  # noqa: BLE001  # FastStream would skip the batch
                await poll.again(error)

        return consumer

    async def _hand_over(
        self, batch: list[ConsumedRecord], handle: OnBatch, consumer: AIOKafkaConsumer
    ) -> None:
        topic = batch[0].topic
        if topic not in self._delivery.stopped:
            self._reading.taken(batch)
            await handle(batch, consumer)
        if topic in self._delivery.stopped:
            # A rebalance undoes the pause, so it is repeated for each batch. The consumer stays a
            # member of its group: otherwise another one would take over and do the same damage.
            consumer.pause(*consumer.assignment())
        else:
            self._reading.done(batch)


def _after(*read: ConsumedRecord) -> dict[TopicPartition, int]:
    """Return the offsets to commit; ``read`` holds the last record of each partition."""
    return {TopicPartition(one.topic, one.partition): one.offset + 1 for one in read}


async def _commit(
    consumer: AIOKafkaConsumer, topic: str, offsets: Mapping[TopicPartition, int]
) -> bool:
    """Tell Kafka how far each partition was read; return False if a rebalance came between.

    Whoever has the partition now may read messages again, which is harmless: handlers are
    idempotent.
    """
    try:
        await consumer.commit(dict(offsets))
    except (KafkaError, ConsumerStoppedError) as error:
        COMMIT_FAILURES.add(topic)
        log.warning("commit_failed", topic=topic, error=type(error).__name__)
        return not isinstance(error, CommitFailedError)
    return True
