"""The last record of a key stays, at its offset, whatever happens in between."""

import asyncio
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from deploy.localkafka import Broker, compaction
from deploy.localkafka.errors import Code, Refused
from deploy.localkafka.log import PartitionLog
from deploy.localkafka.tests.harness import (
    Aiokafka,
    Pair,
    batch,
    consumer,
    contents,
    create_topic,
    open_log,
    producer,
    values,
)
from deploy.localkafka.upkeep import Upkeep
from tests.support.waiting import PATIENCE_S, turns

DAY = 24 * 3600 * 1000
COMPACT = {"cleanup_policy": "compact", "segment_bytes": "2000"}


@pytest.fixture
def log(tmp_path: Path) -> Iterator[PartitionLog]:
    log = open_log(tmp_path, **COMPACT)
    yield log
    log.close()


def write(
    log: PartitionLog, *records: tuple[bytes, bytes | None], time_ms: int | None = None
) -> None:
    log.append(batch(*records, time_ms=time_ms or int(time.time() * 1000)))
    log.sync_now()


async def test_the_last_value_of_each_key_stays_at_its_offset(log: PartitionLog) -> None:
    for number in range(300):
        log.append(
            batch(
                (b"key %d" % (number % 7), b"a%d" % number),
                (b"other %d" % (number % 11), b"b%d" % number),
            )
        )
    log.sync_now()
    before = {key: (offset, value) for offset, key, value in contents(log)}
    await Upkeep().tend(log)
    assert {key: (offset, value) for offset, key, value in contents(log)} == before
    assert len(contents(log)) == 18
    assert (log.start_offset, log.high_watermark) == (0, 600)
    again = open_log(log.directory, **COMPACT)
    assert contents(again) == contents(log)
    assert again.end_offset == 600


async def test_it_waits_until_over_half_is_stale_unless_told_to_be_thorough(
    log: PartitionLog,
) -> None:
    upkeep = Upkeep()
    write(log, *((b"%d" % number, b"v") for number in range(10)))
    write(log, *((b"%d" % number, b"w") for number in range(8)))
    await upkeep.tend(log)
    assert len(contents(log)) == 18
    await upkeep.tend(log, thorough=True)
    assert len(contents(log)) == 10
    write(log, *((b"%d" % (number % 3), b"x") for number in range(12)))
    await upkeep.tend(log)
    assert len(contents(log)) == 10


async def test_a_tombstone_stays_for_its_time_and_is_then_forgotten(log: PartitionLog) -> None:
    now = int(time.time() * 1000)
    write(log, (b"old", b"v"), (b"young", b"v"))
    write(log, (b"old", None), time_ms=now - 8 * DAY)
    write(log, (b"young", None), time_ms=now - 6 * DAY)
    write(log, (b"last", b"v"))
    await Upkeep().tend(log, thorough=True)
    assert contents(log) == [(3, b"young", None), (4, b"last", b"v")]


async def test_the_end_of_the_log_can_be_reached_although_its_last_record_is_an_old_tombstone(
    log: PartitionLog,
) -> None:
    write(log, (b"k", b"v"))
    write(log, (b"k", None), time_ms=DAY)
    await Upkeep().tend(log, thorough=True)
    assert contents(log) == [(1, b"k", None)]
    assert open_log(log.directory, **COMPACT).end_offset == 2


async def test_it_is_never_trimmed_by_age_or_size(tmp_path: Path) -> None:
    log = open_log(
        tmp_path,
        cleanup_policy="compact,delete",
        retention_ms="1",
        retention_bytes="1",
        segment_bytes="200",
    )
    for number in range(20):
        write(log, (b"%d" % number, b"v"), time_ms=DAY)
    await Upkeep().tend(log, thorough=True)
    assert len(contents(log)) == 20
    log.close()


def test_records_without_a_key_are_refused(log: PartitionLog) -> None:
    for compression in (0, 1):
        with pytest.raises(Refused) as caught:
            log.append(batch((b"k", b"v"), (None, b"v"), compression=compression))
        assert caught.value.code is Code.INVALID_RECORD
    assert log.end_offset == 0


async def test_compressed_batches_are_compacted_too(log: PartitionLog) -> None:
    log.append(batch((b"a", b"1"), (b"b", b"2"), compression=1))
    log.append(batch((b"a", b"3"), compression=1))
    log.sync_now()
    await Upkeep().tend(log, thorough=True)
    assert contents(log) == [(1, b"b", b"2"), (2, b"a", b"3")]


async def test_a_producer_is_still_known_when_its_batches_are_gone(log: PartitionLog) -> None:
    for number in range(4):
        log.append(batch((b"k", b"%d" % number), producer=7, sequence=number))
    log.sync_now()
    write(log, (b"k", b"last"))
    await Upkeep().tend(log)
    assert values(log) == [b"last"]
    again = open_log(log.directory, **COMPACT)
    assert again.append(batch((b"k", b"3"), producer=7, sequence=3)) == 3
    assert again.append(batch((b"k", b"4"), producer=7, sequence=4)) == 5


async def test_a_crash_at_any_step_leaves_a_log_that_is_whole(tmp_path: Path) -> None:
    log = open_log(tmp_path / "0", **COMPACT)
    for number in range(200):
        log.append(batch((b"key %d" % (number % 5), b"%d" % number), (b"only %d" % number, b"v")))
    log.sync_now()
    expected = {key: value for _, key, value in contents(log)}
    log.roll()
    found = compaction.survey(
        [(item.path, item.size) for item in log.segments],
        end=log.end_offset,
        horizon=0,
        go_on=lambda: True,
    )
    states = itertools.count(1)
    for group in compaction.groups(log.segments[:-1], 6000):
        cleaned = compaction.rewrite(group, found, lambda: True)
        _expect(log.directory, tmp_path / str(next(states)), expected)
        cleaned.path.replace(group[0].path)
        for leftover in group[1:]:
            _expect(log.directory, tmp_path / str(next(states)), expected)
            leftover.path.unlink()
        _expect(log.directory, tmp_path / str(next(states)), expected)
    assert next(states) > 5


def _expect(source: Path, copy: Path, expected: dict[bytes | None, bytes | None]) -> None:
    copy.mkdir()
    for path in source.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    log = open_log(copy, **COMPACT)
    assert {key: value for _, key, value in contents(log)} == expected
    assert all(
        one.next_offset <= other.base_offset for one, other in itertools.pairwise(log.segments)
    )
    assert log.end_offset == 400
    assert not list(copy.glob("*.cleaned"))
    log.close()


async def test_reading_and_writing_go_on_meanwhile(broker: Broker, address: str) -> None:
    await create_topic(address, "items", cleanup_policy="compact", segment_bytes="20000")
    done = asyncio.Event()

    async def compact() -> None:
        while not done.is_set():
            await broker.tidy(thorough=True)
            await turns()

    compacting = asyncio.create_task(compact())
    async with producer(address) as writer, consumer(address, "items") as reader:
        latest: dict[bytes | None, bytes | None] = {}
        for number in range(1500):
            await writer.send_and_wait("items", b"%d" % number, b"%d" % (number % 50))
        async with asyncio.timeout(PATIENCE_S):
            while latest.get(b"49") != b"1499":
                message = await reader.getone()
                latest[message.key] = message.value
        assert latest == {b"%d" % (number % 50): b"%d" % number for number in range(1450, 1500)}
        done.set()
        await compacting
        end = TopicPartition("items", 0)
        assert (await reader.position(end), await reader.end_offsets([end])) == (1500, {end: 1500})


async def test_it_happens_by_itself_when_the_broker_starts(tmp_path: Path) -> None:
    broker = Broker(tmp_path, port=0)
    await broker.start()
    await create_topic(f"{broker.host}:{broker.port}", "items", cleanup_policy="compact")
    records: list[Pair] = [(b"k", b"1"), (b"k", b"2"), (b"a", b"3"), (b"b", b"4"), (b"c", b"5")]
    await Aiokafka().write(f"{broker.host}:{broker.port}", "items", records)
    await broker.stop()
    broker = Broker(tmp_path, port=0)
    await broker.start()
    address = f"{broker.host}:{broker.port}"
    await Aiokafka().read(address, "items", 1)
    await broker.tidy(thorough=False)  # waits for what goes on, and has nothing to do itself
    assert [item.offset for item in await Aiokafka().read(address, "items", 1)] == [1, 2, 3, 4]
    await broker.stop()
