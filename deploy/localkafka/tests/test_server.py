"""The connection: who may connect, and what happens to those who do not speak Kafka."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from structlog.testing import capture_logs

from deploy.localkafka import Broker, BrokerError
from deploy.localkafka.tests.harness import Aiokafka, consumer, create_topic
from tests.support.waiting import PATIENCE_S


@asynccontextmanager
async def connection(
    broker: Broker,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(broker.host, broker.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def answer_to(broker: Broker, frame: bytes) -> bytes:
    """Return all that comes back until the broker closes the connection or has answered once."""
    async with connection(broker) as (reader, writer):
        writer.write(frame)
        try:
            (length,) = struct.unpack(
                ">i", await asyncio.wait_for(reader.readexactly(4), PATIENCE_S)
            )
        except asyncio.IncompleteReadError:
            return b""
        return await reader.readexactly(length)


def request(key: int, version: int, body: bytes = b"") -> bytes:
    frame = struct.pack(">hhihs", key, version, 77, 1, b"c") + body
    return struct.pack(">i", len(frame)) + frame


async def test_http_that_is_sent_to_the_port_is_named_in_the_log(tmp_path: Path) -> None:
    broker = Broker(tmp_path, "127.0.0.1", 0)
    await broker.start()
    with capture_logs() as lines:
        assert await answer_to(broker, b"GET / HTTP/1.1\r\n\r\n") == b""
        await broker.stop()
    assert "HTTP was sent to the Kafka port" in [line.get("reason") for line in lines]


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.com", ""])
async def test_it_refuses_to_listen_beyond_this_machine(tmp_path: Path, host: str) -> None:
    with pytest.raises(BrokerError, match="only programs on this machine"):
        await Broker(tmp_path, host, 0).start()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_it_listens_on_loopback(tmp_path: Path, host: str) -> None:
    broker = Broker(tmp_path, host, 0)
    await broker.start()
    await create_topic(f"{host}:{broker.port}", "things")
    await broker.stop()


async def test_a_busy_port_is_the_callers_to_explain(broker: Broker, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="address already in use"):
        await Broker(tmp_path / "other", port=broker.port).start()


async def test_two_brokers_never_share_a_folder(broker: Broker) -> None:
    with pytest.raises(BrokerError, match="already uses"):
        await Broker(broker.data_dir, port=0).start()


async def test_the_cluster_id_stays_with_the_folder(tmp_path: Path) -> None:
    found = []
    for folder in ("a", "a", "b"):
        broker = Broker(tmp_path / folder, port=0)
        await broker.start()
        found.append(broker.cluster_id)
        await broker.stop()
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    "frame",
    [
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        struct.pack(">i", -1),
        struct.pack(">i", 2**31 - 1),
        struct.pack(">i", 3) + b"abc",
        request(999, 0),
        request(3, 99),
        request(1, 11, b"\xff" * 40),
        request(0, 7, struct.pack(">hhii", -1, 1, 1000, 2**31 - 1)),
        request(3, 0, struct.pack(">ih", 1, 5) + b"\xff\xfe"),
        request(3, 12, b"\0" + b"\xff\xff\xff\xff\x0f"),
    ],
    ids=[
        "http",
        "negative",
        "huge",
        "short",
        "unknown api",
        "unknown version",
        "noise",
        "endless list",
        "cut string",
        "endless compact list",
    ],
)
async def test_bytes_that_are_no_request_close_their_connection_only(
    broker: Broker, address: str, frame: bytes
) -> None:
    await create_topic(address, "things")
    async with consumer(address, "things") as bystander:
        assert await answer_to(broker, frame) == b""
        await Aiokafka().write(address, "things", [(b"k", b"v")])
        assert (await asyncio.wait_for(bystander.getone(), PATIENCE_S)).value == b"v"


async def test_a_client_that_asks_too_modernly_is_told_what_we_speak(broker: Broker) -> None:
    answer = await answer_to(broker, request(18, 3, b"\0\4abc\4abc\0"))
    correlation, error, count = struct.unpack_from(">ihi", answer)
    assert (correlation, error, len(answer)) == (77, 35, 10 + 6 * count)
    plain = await answer_to(broker, request(18, 0))
    assert plain[:10] == struct.pack(">ihi", 77, 0, count)
    assert plain[10:] == answer[10:]


async def test_a_topic_is_found_by_its_id_and_an_id_that_nobody_has_is_refused(
    broker: Broker, address: str
) -> None:
    await create_topic(address, "things")
    by_name = await answer_to(broker, metadata_request(b"\0" * 16, b"\7things"))
    name_at = by_name.index(b"\7things")
    id_ = by_name[name_at + 7 : name_at + 23]
    assert id_ != b"\0" * 16
    assert await answer_to(broker, metadata_request(id_, b"\0")) == by_name
    unknown = await answer_to(broker, metadata_request(b"\1" * 16, b"\0"))
    assert b"\2" + struct.pack(">h", 100) + b"\0" in unknown


def metadata_request(id_: bytes, name: bytes) -> bytes:
    """Ask for one topic with Metadata 12.

    That is: tags of the header, a list of one id and name, two flags, tags.
    """
    return request(3, 12, b"\0" + b"\2" + id_ + name + b"\0" + b"\0\0" + b"\0")


async def test_answers_come_in_the_order_of_the_requests(broker: Broker) -> None:
    async with connection(broker) as (reader, writer):
        for number in range(100):
            writer.write(struct.pack(">ihhih", 10, 18, 0, number, -1))
        for number in range(100):
            (length,) = struct.unpack(">i", await reader.readexactly(4))
            assert struct.unpack_from(">i", await reader.readexactly(length)) == (number,)


async def test_stopping_does_not_wait_for_those_who_wait(tmp_path: Path) -> None:
    broker = Broker(tmp_path, port=0)
    await broker.start()
    await create_topic(f"{broker.host}:{broker.port}", "things")
    partition = struct.pack(">ih6siiqi", 1, 6, b"things", 1, 0, 0, 1000)
    waiting = request(1, 4, struct.pack(">iiiib", -1, 600_000, 1, 1000, 0) + partition)
    async with connection(broker) as (reader, writer):
        writer.write(waiting + request(18, 0))
        assert await answer_to(broker, request(18, 0)), "what came before this is under way"
        await asyncio.wait_for(broker.stop(), PATIENCE_S)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)


async def test_a_topic_that_is_kept_cannot_be_deleted(tmp_path: Path) -> None:
    broker = Broker(tmp_path, port=0, keeps=["kept"])
    await broker.start()
    admin = AIOKafkaAdminClient(bootstrap_servers=f"{broker.host}:{broker.port}")
    await admin.start()
    try:
        await admin.create_topics([NewTopic("kept", 1, 1), NewTopic("other", 1, 1)])
        answer = await admin.delete_topics(["kept", "other"])
        assert dict(answer.topic_error_codes) == {"kept": 73, "other": 0}
        assert await admin.list_topics() == ["kept"]
    finally:
        await admin.close()
        await broker.stop()
