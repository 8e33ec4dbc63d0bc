"""Run the broker as a child process, and drive both clients through one small interface."""

import asyncio
import socket
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import confluent_kafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from confluent_kafka import TopicPartition

from deploy.localkafka.log import PartitionLog
from deploy.localkafka.policy import policy
from tests.support.waiting import PATIENCE_S

ROOT = Path(__file__).parents[3]


Pair = tuple[bytes | None, bytes | None]


class Stored(NamedTuple):
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


class BrokerProcess:
    """A broker that can be killed and started again, always on the same port.

    A bound socket that never listens keeps the port while no broker has it. Otherwise any outgoing
    connection, even that of a client trying to reach the broker, could be given this very port and
    block the restart.
    """

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._reservation = socket.socket()
        self._reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reservation.bind(("127.0.0.1", 0))
        self.port = self._reservation.getsockname()[1]
        self._process: Process | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        arguments = ["--data-dir", str(self.data_dir), "--port", str(self.port)]
        self._process = await run_python("-m", "deploy.localkafka", *arguments)
        assert (await next_line(self._process)).endswith(f":{self.port}")

    async def kill(self) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def close(self) -> None:
        self._reservation.close()
        await self.kill()

    async def terminate(self) -> int:
        assert self._process is not None
        self._process.terminate()
        return await asyncio.wait_for(self._process.wait(), PATIENCE_S)


async def run_python(*arguments: str) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=ROOT, stdout=PIPE, stderr=DEVNULL
    )


async def next_line(process: Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)).decode().strip()


async def create_topic(address: str, name: str, partitions: int = 1, **configs: str) -> None:
    """Create a topic. Settings are given with underscores: ``retention_ms="1"``."""
    settings = {key.replace("_", "."): value for key, value in configs.items()}
    async with admin(address) as client:
        answer = await client.create_topics([NewTopic(name, partitions, 1, topic_configs=settings)])
    assert [error[1] for error in answer.topic_errors] == [0]


@asynccontextmanager
async def admin(address: str) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=address)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def producer(address: str, **settings: object) -> AsyncIterator[AIOKafkaProducer]:
    client = AIOKafkaProducer(
        bootstrap_servers=address, **{"enable_idempotence": True, "acks": "all"} | settings
    )
    await client.start()
    try:
        yield client
    finally:
        await asyncio.wait_for(client.stop(), PATIENCE_S)  # waits for ever when the broker is gone


@asynccontextmanager
async def consumer(
    address: str, *topics: str, **settings: object
) -> AsyncIterator[AIOKafkaConsumer]:
    defaults = {"auto_offset_reset": "earliest", "enable_auto_commit": False}
    client = AIOKafkaConsumer(*topics, bootstrap_servers=address, **defaults | settings)
    await client.start()
    try:
        yield client
    finally:
        await asyncio.wait_for(client.stop(), PATIENCE_S)  # waits for ever when the broker is gone


class Kafka(Protocol):
    """The contract's view of a client.

    ``read`` returns at least ``count`` records of a fresh consumer, and may commit.
    """

    async def write(self, address: str, topic: str, records: list[Pair]) -> None: ...

    async def read(
        self, address: str, topic: str, count: int, *, group: str = "", commit: bool = False
    ) -> list[Stored]: ...


class Aiokafka:
    headers = (("kind", b"test"), ("empty", b""))

    async def write(self, address: str, topic: str, records: list[Pair]) -> None:
        async with producer(address) as client:
            sent = [
                await client.send(topic, value, key, headers=list(self.headers))
                for key, value in records
            ]
            await asyncio.gather(*sent)

    async def read(
        self, address: str, topic: str, count: int, *, group: str = "", commit: bool = False
    ) -> list[Stored]:
        found: list[Stored] = []
        async with (
            consumer(address, topic, group_id=group or None) as client,
            asyncio.timeout(PATIENCE_S),
        ):
            while len(found) < count:
                for batch in (await client.getmany(timeout_ms=200)).values():
                    found += [
                        Stored(m.partition, m.offset, m.key, m.value, list(m.headers))
                        for m in batch
                    ]
            if commit:
                await client.commit()
        return found


class Confluent:
    async def write(self, address: str, topic: str, records: list[Pair]) -> None:
        await asyncio.to_thread(self._write, address, topic, records)

    async def read(
        self, address: str, topic: str, count: int, *, group: str = "", commit: bool = False
    ) -> list[Stored]:
        return await asyncio.to_thread(
            self._read, address, topic, count, group=group, commit=commit
        )

    def _write(self, address: str, topic: str, records: list[Pair]) -> None:
        errors: list[object] = []
        client = confluent_kafka.Producer(
            {"bootstrap.servers": address, "enable.idempotence": True}
        )
        for key, value in records:
            client.produce(
                topic,
                value,
                key,
                headers=list(Aiokafka.headers),
                on_delivery=lambda e, _: errors.append(e),
            )
        assert client.flush(PATIENCE_S) == 0
        assert set(errors) == {None}

    def _read(
        self, address: str, topic: str, count: int, *, group: str, commit: bool
    ) -> list[Stored]:
        client = confluent_kafka.Consumer(confluent_settings(address, group or "unnamed"))
        try:
            if group:
                client.subscribe([topic])
            else:
                partitions = client.list_topics(topic, PATIENCE_S).topics[topic].partitions
                client.assign([TopicPartition(topic, number, 0) for number in partitions])
            found = self._poll(client, count)
            if commit:
                client.commit(asynchronous=False)
        finally:
            client.close()
        return found

    def _poll(self, client: confluent_kafka.Consumer, count: int) -> list[Stored]:
        found: list[Stored] = []
        deadline = time.monotonic() + PATIENCE_S
        while len(found) < count and time.monotonic() < deadline:
            for message in client.consume(500, 0.2):
                assert message.error() is None, message.error()
                partition, offset = message.partition(), message.offset()
                assert partition is not None
                assert offset is not None
                headers: Any = message.headers() or []
                found.append(
                    Stored(
                        partition,
                        offset,
                        _bytes(message.key()),
                        _bytes(message.value()),
                        list(headers),
                    )
                )
        return found


def confluent_settings(address: str, group: str) -> dict[str, str | int | float | bool]:
    settings: Mapping[str, str | int | float | bool] = {
        "bootstrap.servers": address,
        "group.id": group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "session.timeout.ms": 1000,
        "heartbeat.interval.ms": 200,
    }
    return dict(settings)


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def batch(
    *records: Pair,
    producer: int = -1,
    sequence: int = -1,
    time_ms: int = 1_000_000,
    compression: int = 0,
) -> bytes:
    """Return a batch as a client sends it."""
    epoch = -1 if producer < 0 else 0
    builder = DefaultRecordBatchBuilder(2, compression, 0, producer, epoch, sequence, 10_000_000)
    for number, record in enumerate(records):
        builder.append(number, time_ms + number, record[0], record[1], [])
    return bytes(builder.build())


def contents(log: PartitionLog) -> list[tuple[int, bytes | None, bytes | None]]:
    """Return offset, key and value of all durable records, as a client decodes them."""
    found = []
    offset = log.start_offset
    while data := log.read(offset, 100_000):
        memory = MemoryRecords(data)
        while (decoded := memory.next_batch()) is not None:
            assert decoded.validate_crc()
            found += [(record.offset, record.key, record.value) for record in decoded]
            offset = decoded.next_offset
    return found


def values(log: PartitionLog) -> list[bytes | None]:
    return [value for _, _, value in contents(log)]


def open_log(directory: Path, **configs: str) -> PartitionLog:
    return PartitionLog(
        directory, policy({key.replace("_", "."): value for key, value in configs.items()})
    )
