"""The meaning of an acknowledgement."""

import asyncio
import errno
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from deploy.localkafka import producing
from deploy.localkafka.errors import Code
from deploy.localkafka.flusher import Flusher
from deploy.localkafka.groups import Groups
from deploy.localkafka.node import Client, Node
from deploy.localkafka.tests.harness import batch, values
from deploy.localkafka.topics import Topics
from deploy.localkafka.wire import Fields
from tests.support.waiting import PATIENCE_S, turns, until

SOMEBODY = Client("", "")


class SlowDisk:
    """A disk whose syncs block until released."""

    def __init__(self) -> None:
        self.calls = 0
        self.working = threading.Semaphore(0)

    def sync(self, _: int) -> None:
        self.calls += 1
        if not self.working.acquire(timeout=PATIENCE_S):
            raise OSError(errno.ETIMEDOUT, "the test has forgotten this disk")


@asynccontextmanager
async def node(data_dir: Path, sync: Callable[[int], None]) -> AsyncIterator[Node]:
    topics, groups, flusher = Topics(data_dir), Groups(data_dir), Flusher(sync)
    topics.create("things", topics.check_new("things", 1, {}))
    yield Node("127.0.0.1", 0, "", topics, groups, flusher)
    await flusher.close()
    topics.close()
    groups.close()


def request(value: bytes, acks: int = -1) -> Fields:
    partitions = [{"partition": 0, "messages": batch((b"k", value))}]
    return {
        "transactional_id": None,
        "required_acks": acks,
        "topics": [{"topic": "things", "partitions": partitions}],
    }


def outcome(answer: Fields | None) -> tuple[int, int]:
    assert answer is not None
    (partition,) = answer["topics"][0]["partitions"]
    return partition["error_code"], partition["offset"]


async def test_nothing_is_acknowledged_or_read_before_the_disk_has_it(tmp_path: Path) -> None:
    disk = SlowDisk()
    async with node(tmp_path, disk.sync) as here:
        log = here.topics.log("things", 0)
        answer = asyncio.create_task(producing.produce(here, SOMEBODY, request(b"1", acks=1)))
        await until(lambda: disk.calls == 1)
        assert (answer.done(), log.end_offset, values(log)) == (False, 1, [])
        disk.working.release()
        assert outcome(await answer) == (Code.NONE, 0)
        assert values(log) == [b"1"]


async def test_all_that_waits_for_the_disk_shares_the_next_sync(tmp_path: Path) -> None:
    disk = SlowDisk()
    async with node(tmp_path, disk.sync) as here:
        answers = [
            asyncio.create_task(producing.produce(here, SOMEBODY, request(b"%d" % n)))
            for n in range(1)
        ]
        await until(lambda: disk.calls == 1)
        answers += [
            asyncio.create_task(producing.produce(here, SOMEBODY, request(b"%d" % n)))
            for n in range(1, 50)
        ]
        await turns()
        disk.working.release(2)
        assert [outcome(answer) for answer in await asyncio.gather(*answers)] == [
            (0, n) for n in range(50)
        ]
        assert disk.calls == 2


async def test_a_repeated_batch_is_not_acknowledged_before_the_first_is_on_the_disk(
    tmp_path: Path,
) -> None:
    disk = SlowDisk()
    async with node(tmp_path, disk.sync) as here:
        again = request(b"1")
        again["topics"][0]["partitions"][0]["messages"] = batch(
            (b"k", b"1"), producer=7, sequence=0
        )
        answers = [asyncio.create_task(producing.produce(here, SOMEBODY, again)) for _ in range(2)]
        await until(lambda: disk.calls == 1)
        await turns(20)
        assert not any(answer.done() for answer in answers)
        disk.working.release(2)
        assert [outcome(answer) for answer in await asyncio.gather(*answers)] == [(0, 0), (0, 0)]


async def test_a_client_that_hangs_up_does_not_disturb_the_others(tmp_path: Path) -> None:
    disk = SlowDisk()
    async with node(tmp_path, disk.sync) as here:
        gone, stays = (
            asyncio.create_task(producing.produce(here, SOMEBODY, request(b"v"))) for _ in range(2)
        )
        await until(lambda: disk.calls == 1)
        gone.cancel()
        await asyncio.wait([gone])
        disk.working.release()
        assert outcome(await stays) == (Code.NONE, 1)


async def test_a_disk_that_fails_is_told_to_the_producer(tmp_path: Path) -> None:
    def broken(_: int) -> None:
        raise OSError(errno.EIO, "no such sector")

    async with node(tmp_path, broken) as here:
        for _ in range(2):
            answer = await producing.produce(here, SOMEBODY, request(b"1"))
            assert outcome(answer) == (Code.KAFKA_STORAGE_ERROR, -1)
        assert values(here.topics.log("things", 0)) == []
