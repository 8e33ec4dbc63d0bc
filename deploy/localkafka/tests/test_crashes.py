"""kill -9 of a consumer and of the broker, as seen by clients that go on."""

import asyncio
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import CommitFailedError

from deploy.localkafka import Broker
from deploy.localkafka.tests.harness import (
    Aiokafka,
    BrokerProcess,
    Confluent,
    consumer,
    create_topic,
    next_line,
    producer,
    run_python,
)
from tests.support.waiting import PATIENCE_S, until

MEMBER = ("-m", "deploy.localkafka.tests.member")


class Members:
    """The processes of one group, and all they have printed."""

    def __init__(self) -> None:
        self.seen: dict[Process, list[str]] = {}
        self.news = asyncio.Condition()
        self._reading: list[asyncio.Task[None]] = []

    async def start(self, *arguments: str) -> Process:
        process = await run_python(*MEMBER, *arguments)
        self.seen[process] = []
        self._reading.append(asyncio.create_task(self._read(process)))
        return process

    async def until(self, enough: Callable[[], bool]) -> None:
        async with self.news, asyncio.timeout(PATIENCE_S):
            await self.news.wait_for(enough)

    async def close(self) -> None:
        for process in self.seen:
            if process.returncode is None:
                process.kill()
            await process.wait()
        await asyncio.gather(*self._reading)

    async def _read(self, process: Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            async with self.news:
                self.seen[process].append(line.decode().split()[1])
                self.news.notify_all()


@pytest.fixture
async def members() -> AsyncIterator[Members]:
    members = Members()
    yield members
    await members.close()


@pytest.mark.parametrize("client", ["aiokafka", "confluent"])
async def test_when_a_member_is_killed_the_other_takes_over_and_nothing_is_lost(
    address: str, client: str, members: Members
) -> None:
    await create_topic(address, "things", partitions=4)
    written: set[str] = set()

    async def write_for_ever(sender: AIOKafkaProducer) -> None:
        for number in count():
            await sender.send_and_wait("things", str(number).encode(), partition=number % 4)
            written.add(str(number))

    async with producer(address) as sender:
        writing = asyncio.create_task(write_for_ever(sender))
        first = await members.start(client, address, "things", "readers")
        second = await members.start(client, address, "things", "readers")
        await members.until(lambda: all(members.seen.values()))
        first.kill()
        killed_at = len(written)
        await members.until(
            lambda: any(int(value) > killed_at + 40 for value in members.seen[second])
        )
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
    await members.until(lambda: written <= set(members.seen[first]) | set(members.seen[second]))


async def test_all_that_was_acknowledged_is_stored_once_after_kills_of_the_broker(
    broker_process: BrokerProcess,
) -> None:
    await create_topic(broker_process.address, "things", partitions=3)
    acknowledged: list[bytes] = []
    progress = asyncio.Semaphore(0)
    stopped = asyncio.Event()

    async def write(sender: AIOKafkaProducer, lane: int) -> None:
        for number in count():
            value = b"%d-%d" % (lane, number)
            await sender.send_and_wait("things", value, key=b"%d" % lane)
            acknowledged.append(value)
            progress.release()
            if stopped.is_set():
                return

    async with (
        asyncio.timeout(2 * PATIENCE_S),
        producer(broker_process.address, retry_backoff_ms=20) as sender,
        asyncio.TaskGroup() as lanes,
    ):
        for lane in range(12):
            lanes.create_task(write(sender, lane))
        for _ in range(2):
            for _ in range(300):
                await progress.acquire()
            await broker_process.kill()
            await broker_process.start()
        stopped.set()
    found = await Aiokafka().read(broker_process.address, "things", len(acknowledged))
    assert Counter(item.value for item in found) == Counter(acknowledged)
    for lane in range(12):
        numbers = [
            int((item.value or b"").split(b"-")[1]) for item in found if item.key == b"%d" % lane
        ]
        assert numbers == list(range(len(numbers)))


async def test_committed_offsets_survive_a_kill_of_the_broker(
    broker_process: BrokerProcess,
) -> None:
    await create_topic(broker_process.address, "things")
    await Aiokafka().write(broker_process.address, "things", [(b"k", b"old")] * 3)
    await Aiokafka().read(broker_process.address, "things", 3, group="one", commit=True)
    await Confluent().read(broker_process.address, "things", 3, group="two", commit=True)
    await broker_process.kill()
    await broker_process.start()
    await Aiokafka().write(broker_process.address, "things", [(b"k", b"new")])
    for group in ("one", "two"):
        found = await Aiokafka().read(broker_process.address, "things", 1, group=group)
        assert [item.value for item in found] == [b"new"]


async def test_a_consumer_goes_on_when_the_broker_comes_back(broker_process: BrokerProcess) -> None:
    await create_topic(broker_process.address, "things")
    settings = {"group_id": "readers", "heartbeat_interval_ms": 100, "retry_backoff_ms": 50}
    async with consumer(broker_process.address, "things", **settings) as reader:
        await Aiokafka().write(broker_process.address, "things", [(b"k", b"before")])
        assert (await asyncio.wait_for(reader.getone(), PATIENCE_S)).value == b"before"
        await broker_process.kill()
        await broker_process.start()
        await Aiokafka().write(broker_process.address, "things", [(b"k", b"after")])
        async with asyncio.timeout(PATIENCE_S):
            while (await reader.getone()).value != b"after":
                pass
            await _commit(reader)


async def test_it_stops_on_sigterm_and_starts_again_with_all_it_had(
    broker_process: BrokerProcess,
) -> None:
    await create_topic(broker_process.address, "things")
    await Aiokafka().write(broker_process.address, "things", [(b"k", b"v")])
    assert await broker_process.terminate() == 0
    await broker_process.start()
    assert len(await Aiokafka().read(broker_process.address, "things", 1)) == 1


async def test_it_says_in_words_why_it_does_not_start(tmp_path: Path, broker: Broker) -> None:
    program = (
        "import runpy, sys; sys.stderr = sys.stdout; "
        "runpy.run_module('deploy.localkafka', run_name='__main__')"
    )
    arguments = ["-c", program]
    data_dir = ["--data-dir", str(tmp_path / "other")]
    refused = await run_python(*arguments, *data_dir, "--host", "0.0.0.0")
    assert "only programs on this machine" in await next_line(refused)
    busy = await run_python(*arguments, *data_dir, "--port", str(broker.port))
    assert str(broker.port) in await next_line(busy)
    assert [await refused.wait(), await busy.wait()] == [2, 2]


async def _commit(reader: AIOKafkaConsumer) -> None:
    """Commit, once more if needed.

    A commit in the middle of a rebalance is refused, by Apache Kafka too; the next one is not.
    """

    async def committed() -> bool:
        try:
            await reader.commit()
        except CommitFailedError:
            return False
        return True

    await until(committed)
