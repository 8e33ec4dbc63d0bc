"""Reading a topic's log finds its records on every partition and moves nobody's position."""

from __future__ import annotations

from aiokafka import TopicPartition

from shared.kafka import LoggedRecord, LogReader
from shared.tests.kafka_harness import Kafka


def value(logged: LoggedRecord) -> bytes | None:
    return logged.record.value


async def test_a_stretch_of_each_partition_is_read_and_nothing_beyond_it(kafka: Kafka) -> None:
    sent = [f"{n}".encode() for n in range(10)]
    await kafka.put(kafka.topic, *sent, key=b"one")
    await kafka.put(kafka.topic, b"x", key=b"a")
    async with LogReader(kafka.cluster, [kafka.topic]) as reader:
        bounds = await reader.bounds()
        assert sorted(bounds.values()) == [(0, 1), (0, 10)]
        full = next(place for place, (_, end) in bounds.items() if end == 10)
        small = next(place for place, (_, end) in bounds.items() if end == 1)
        for _ in range(2):
            found = await reader.stretch({full: (3, 7), small: (0, 1)}, value)
            assert found == {full: tuple(sent[3:7]), small: (b"x",)}
    assert await kafka.committed(kafka.topic) == 0


async def test_one_record_is_found_with_its_time_and_headers_or_not_at_all(kafka: Kafka) -> None:
    await kafka.put(kafka.topic, b"1", None, kind=b"\xff")
    async with LogReader(kafka.cluster, [kafka.topic]) as reader:
        ((place, _),) = (await reader.bounds()).items()
        found = await reader.one(place, 1)
        assert found is not None
        assert (found.record.value, found.record.offset, found.record.headers) == (
            None,
            1,
            (("kind", b"\xff"),),
        )
        assert found.appended_at > 1_700_000_000
        assert await reader.one(place, 2) is None
        assert await reader.one(TopicPartition(kafka.topic, 99), 0) is None
        assert await reader.one(TopicPartition("elsewhere", 0), 0) is None
