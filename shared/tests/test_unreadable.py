"""An answer of Kafka that the client cannot unpack costs none of the messages before it.

And it does not go unnoticed.
"""

from __future__ import annotations

from collections.abc import Mapping
from zlib import crc32

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from typing_extensions import override

from shared.kafka import ConsumedRecord
from shared.kafka.poll import Poll
from shared.tests.kafka_harness import Kafka, consuming
from tests.support.waiting import until

KEYS = {crc32(b"%d" % n) % 4: b"%d" % n for n in range(50)}
"""A key for each of the four partitions."""


class NotUtf8(str):
    __slots__ = ()

    @override
    def encode(self, encoding: str = "", errors: str = "") -> bytes:
        return b"\xff\xfe"


async def put_unreadable(kafka: Kafka, partition: int) -> None:
    """Append a record whose header name is not UTF-8.

    Kafka accepts any bytes; aiokafka raises on them.
    """
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    await producer.start()
    batch = producer.create_batch()
    batch._builder = (  # noqa: SLF001  # aiokafka's own takes only UTF-8
        _DefaultRecordBatchBuilderPy(2, 0, False, -1, -1, 0, 1 << 16)
    )
    batch.append(
        timestamp=None, key=KEYS[partition], value=b"unreadable", headers=[(NotUtf8("x"), b"v")]
    )
    await (await producer.send_batch(batch, kafka.topic, partition=partition))
    await producer.stop()


class Own:
    def __init__(self) -> None:
        self.values: list[bytes | None] = []
        self.next: dict[int, int] = {}

    async def load(self, topic: str) -> Mapping[int, int]:
        return self.next

    async def one(self, record: ConsumedRecord) -> None:
        self.values.append(record.value)

    async def many(self, batch: list[ConsumedRecord]) -> None:
        self.values += [one.value for one in batch]
        self.next.update({one.partition: one.offset + 1 for one in batch})


async def filled(kafka: Kafka, bad: int) -> list[bytes | None]:
    """Fill all partitions, one of them with an unreadable record after its third.

    Return what can be read.
    """
    values: list[bytes | None] = []
    for partition, key in KEYS.items():
        some = [f"{partition}-{n}".encode() for n in range(3)]
        await kafka.put(kafka.topic, *some, key=key)
        values += some
    await put_unreadable(kafka, bad)
    await kafka.put(kafka.topic, b"behind it", key=KEYS[bad])
    return sorted(value or b"" for value in values)  # type: ignore[return-value]


@pytest.mark.parametrize("bad", range(4))
async def test_a_message_the_client_cannot_unpack_halts_its_partition_and_costs_no_other_message(
    kafka: Kafka, bad: int
) -> None:
    readable, own = await filled(kafka, bad), Own()
    async with consuming(
        kafka, lambda consumers: consumers.each(kafka.topic, own.one)
    ) as consumers:
        await until(lambda: "UnicodeDecodeError" in consumers.failing.get(kafka.topic, ""))
        await until(lambda: sorted(set(own.values)) == readable)  # type: ignore[type-var]
        await kafka.put(kafka.topic, b"later", key=KEYS[(bad + 1) % 4])
        await until(lambda: b"later" in own.values)
        assert kafka.topic in consumers.failing
    assert b"behind it" not in own.values
    assert await kafka.committed(kafka.topic) == len(readable) + 1


@pytest.mark.parametrize("bad", range(4))
async def test_the_same_holds_for_a_reader_with_its_own_positions(kafka: Kafka, bad: int) -> None:
    readable, own = await filled(kafka, bad), Own()
    async with consuming(
        kafka, lambda consumers: consumers.batches(kafka.topic, own.many, own)
    ) as consumers:
        await until(lambda: "UnicodeDecodeError" in consumers.failing.get(kafka.topic, ""))
        await until(lambda: sorted(set(own.values)) == readable)  # type: ignore[type-var]
    assert own.next == dict.fromkeys(range(4), 3)


class Flaky:
    """A subscriber and its consumer; the first poll fails, and there is nothing to read."""

    def __init__(self, max_records: int | None) -> None:
        self.max_records = max_records
        self.asked: list[int | None] = []

    async def getmany(
        self, *, timeout_ms: int, max_records: int | None
    ) -> dict[object, list[object]]:
        assert timeout_ms > 0
        self.asked.append(max_records)
        if len(self.asked) == 1:
            raise KafkaError("once")
        return {}


@pytest.mark.parametrize("limit", [100, None])
async def test_an_error_that_passes_is_forgotten_although_nothing_comes_to_be_read(
    limit: int | None,
) -> None:
    flaky, failing, rewound = Flaky(limit), dict[str, str](), list[object]()

    async def rewind(consumer: object) -> None:
        rewound.append(consumer)

    poll = Poll(flaky, "plums", rewind, failing, calm_s=0.6)  # type: ignore[arg-type]
    assert await poll(flaky) == ()
    assert list(failing) == ["plums"]

    async def forgotten() -> bool:
        assert await poll(flaky) == ()
        return not failing

    await until(forgotten)
    await poll(flaky)
    assert (flaky.asked[:2], flaky.asked[-1], rewound) == ([limit, 1], limit, [flaky])
