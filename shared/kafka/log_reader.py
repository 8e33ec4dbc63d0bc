"""Read topics at chosen offsets without joining a group, so that nobody's position moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Final, Self, TypeVar

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from shared import clock
from shared.kafka.client_config import client_options
from shared.kafka.record import ConsumedRecord, consumed_record
from shared.kafka.sasl import signing_in
from shared.settings import Cluster

PATIENCE_S: Final = 10.0
POLL_MS: Final = 200
AT_ONCE: Final = 100
"""Records held in memory at a time; each may have a megabyte."""

T = TypeVar("T")


class LoggedRecord(msgspec.Struct, frozen=True):
    """A record and when it was appended, in epoch seconds."""

    record: ConsumedRecord
    appended_at: float


class LogReader:
    """Read stretches of a topic's log, in an async context.

    Every call raises ``TimeoutError`` or a ``KafkaError`` if Kafka does not answer in time.
    """

    def __init__(self, cluster: Cluster, topics: Collection[str]) -> None:
        self._cluster, self._topics = cluster, topics
        self._consumer = AIOKafkaConsumer(
            *topics, **client_options(cluster), client_id="log-reader", auto_offset_reset="earliest"
        )

    async def __aenter__(self) -> Self:
        try:
            async with signing_in(self._cluster), asyncio.timeout(PATIENCE_S):
                await self._consumer.start()
            self._partitions = [
                TopicPartition(topic, number)
                for topic in self._topics
                for number in sorted(self._consumer.partitions_for_topic(topic) or ())
            ]
            self._consumer.unsubscribe()
        except BaseException:
            await self._consumer.stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._consumer.stop()

    async def bounds(self) -> dict[TopicPartition, tuple[int, int]]:
        """Return the first and the next offset of each partition that holds records."""
        async with asyncio.timeout(PATIENCE_S):
            begins = await self._consumer.beginning_offsets(self._partitions)
            ends = await self._consumer.end_offsets(self._partitions)
        return {
            partition: (begins[partition], ends[partition])
            for partition in self._partitions
            if begins[partition] < ends[partition]
        }

    async def ends(self) -> dict[TopicPartition, int]:
        """Return the next offset of each partition, also where no records are left."""
        async with asyncio.timeout(PATIENCE_S):
            ends: dict[TopicPartition, int] = await self._consumer.end_offsets(self._partitions)
        return ends

    async def stretch(
        self,
        stretches: Mapping[TopicPartition, tuple[int, int]],
        shape: Callable[[LoggedRecord], T],
    ) -> dict[TopicPartition, Sequence[T]]:
        """Return the records between two offsets, oldest first, each converted by ``shape``.

        The second offset is not included. Records that retention has deleted meanwhile are missing.
        """
        found: dict[TopicPartition, list[T]] = {partition: [] for partition in stretches}
        async with asyncio.timeout(PATIENCE_S):
            async for partition, records in self._read(stretches):
                found[partition] += [shape(_logged(record)) for record in records]
        return {partition: tuple(shapes) for partition, shapes in found.items()}

    async def whole(self) -> AsyncIterator[Sequence[LoggedRecord]]:
        """Yield all records that the topics hold now, some at a time, however many there are."""
        async for _, records in self._read(await self.bounds()):
            yield [_logged(record) for record in records]

    async def _read(
        self, stretches: Mapping[TopicPartition, tuple[int, int]]
    ) -> AsyncIterator[tuple[TopicPartition, Sequence[ConsumerRecord[bytes, bytes]]]]:
        self._consumer.assign(list(stretches))
        for partition, (begin, _) in stretches.items():
            self._consumer.seek(partition, begin)
        open_ = set(stretches)
        read_at = clock.monotonic()
        while open_:
            taken = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=AT_ONCE)
            for partition, records in taken.items():
                end = stretches[partition][1]
                yield partition, [record for record in records if record.offset < end]
            passed = {
                partition
                for partition in open_
                if await self._consumer.position(partition) >= stretches[partition][1]
            }
            self._consumer.pause(*passed)
            open_ -= passed
            if taken or passed:
                read_at = clock.monotonic()
            elif clock.monotonic() - read_at > PATIENCE_S:
                raise TimeoutError

    async def one(self, partition: TopicPartition, offset: int) -> LoggedRecord | None:
        """Return the record at ``offset``, None if there is none or it is gone."""
        begin, end = (await self.bounds()).get(partition, (0, 0))
        if not begin <= offset < end:
            return None
        stretch = {partition: (offset, offset + 1)}
        records = (await self.stretch(stretch, lambda logged: logged))[partition]
        return next((one for one in records if one.record.offset == offset), None)


def _logged(record: ConsumerRecord[bytes, bytes]) -> LoggedRecord:
    return LoggedRecord(consumed_record(record), record.timestamp / 1000)
