"""An answer of Kafka's that the client cannot unpack costs none of the messages before it, and does not go unseen."""

from __future__ import annotations

from collections.abc import Mapping
from zlib import crc32

from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from typing_extensions import override

from shared.kafka import Received
from shared.tests.kafka_harness import Kafka, consuming, until

FAR = next(key for key in (b"a", b"b", b"c", b"d", b"e") if crc32(key) % 4 != crc32(b"k") % 4)


class NotUtf8(str):
    __slots__ = ()

    @override
    def encode(self, encoding: str = "", errors: str = "") -> bytes:
        return b"\xff\xfe"


async def put_unreadable(kafka: Kafka) -> None:
    """A header's name may be any bytes to Kafka; aiokafka raises on it."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    await producer.start()
    batch = producer.create_batch()
    batch._builder = _DefaultRecordBatchBuilderPy(2, 0, False, -1, -1, 0, 1 << 16)
    batch.append(timestamp=None, key=b"k", value=b"unreadable", headers=[(NotUtf8("x"), b"v")])
    await (await producer.send_batch(batch, kafka.topic, partition=crc32(b"k") % 4))
    await producer.stop()


class Own:
    def __init__(self) -> None:
        self.values: list[bytes | None] = []
        self.next: dict[int, int] = {}

    async def load(self, topic: str) -> Mapping[int, int]:
        return self.next

    async def one(self, received: Received) -> None:
        self.values.append(received.value)

    async def many(self, batch: list[Received]) -> None:
        self.values += [one.value for one in batch]
        self.next.update({one.partition: one.offset + 1 for one in batch})


async def filled(kafka: Kafka) -> None:
    await kafka.put(kafka.topic, b"1", b"2", b"3")
    await put_unreadable(kafka)
    await kafka.put(kafka.topic, b"behind it")


async def test_a_message_the_client_cannot_unpack_halts_its_partition_and_costs_none_before_it(kafka: Kafka) -> None:
    await filled(kafka)
    own = Own()
    async with consuming(kafka, lambda consumers: consumers.each(kafka.topic, own.one)) as consumers:
        await until(lambda: own.values == [b"1", b"2", b"3"])
        await kafka.put(kafka.topic, b"elsewhere", key=FAR)
        await until(lambda: b"elsewhere" in own.values)
        assert "UnicodeDecodeError" in consumers.failing[kafka.topic]
    assert own.values == [b"1", b"2", b"3", b"elsewhere"]
    assert await kafka.committed(kafka.topic) == 4


async def test_the_same_holds_for_a_reader_with_its_own_positions(kafka: Kafka) -> None:
    await filled(kafka)
    own = Own()
    async with consuming(kafka, lambda consumers: consumers.batches(kafka.topic, own.many, own)) as consumers:
        await until(lambda: own.values == [b"1", b"2", b"3"])
        assert "UnicodeDecodeError" in consumers.failing[kafka.topic]
    assert own.next == {crc32(b"k") % 4: 3}
