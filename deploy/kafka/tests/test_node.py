"""A real node: it keeps its data, checks who signs in, and does nothing uninvited."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import confluent_kafka
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError

from deploy.kafka import Kafka
from deploy.kafka.properties import MECHANISMS
from deploy.servers import ProgramUnavailable
from tests.support.waiting import PATIENCE_S

ROOT = Path(__file__).parents[3]
USERS = {"app": "a password", "other": "another"}


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    node = Kafka(tmp_path_factory.mktemp("kafka"), users=USERS, brief=True)
    try:
        node.start()
        yield node
    except ProgramUnavailable as reason:
        pytest.skip(f"no Kafka here: {reason}")
    finally:
        node.close()


@pytest.fixture
async def topic(kafka: Kafka) -> str:
    name = f"topic-{uuid4().hex[:8]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    answer = await admin.create_topics(
        [NewTopic(name, 2, 1, topic_configs={"cleanup.policy": "compact"})]
    )
    await admin.close()
    assert [code for _, code, *_ in answer.topic_errors] == [0]
    return name


@asynccontextmanager
async def producer(bootstrap: str, **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    client = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, **options
    )
    try:
        await client.start()
        yield client
    finally:
        await client.stop()


async def read(bootstrap: str, topic: str, count: int, **options: Any) -> list[bytes]:
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id=f"group-{topic}",
        auto_offset_reset="earliest",
        **options,
    )
    async with asyncio.timeout(30), consumer:
        return sorted([(await consumer.getone()).value for _ in range(count)])


async def test_what_was_acknowledged_is_there_after_kill_9_on_the_same_port(
    kafka: Kafka, topic: str
) -> None:
    before = kafka.bootstrap
    async with producer(kafka.bootstrap) as client:
        await client.send_and_wait(topic, b"before", b"key")
        await asyncio.to_thread(kafka.kill)
        sent = await client.send(topic, b"while away", b"key")
        await asyncio.to_thread(kafka.start)
        await sent
    assert kafka.bootstrap == before
    assert await read(kafka.bootstrap, topic, 2) == [b"before", b"while away"]


async def test_a_paused_node_does_not_answer_and_goes_on_where_it_was(
    kafka: Kafka, topic: str
) -> None:
    await asyncio.to_thread(kafka.pause)
    assert not kafka.ready()
    kafka.resume()
    async with producer(kafka.bootstrap) as client:
        await client.send_and_wait(topic, b"after", b"key")
    assert await read(kafka.bootstrap, topic, 1) == [b"after"]


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_who_signs_in_may_write_and_read(kafka: Kafka, topic: str, mechanism: str) -> None:
    options = {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": mechanism,
        "sasl_plain_username": "app",
        "sasl_plain_password": "a password",
    }
    async with producer(kafka.signed_in, **options) as client:
        await client.send_and_wait(topic, b"signed in", b"key")
    assert await read(kafka.signed_in, topic, 1, **options) == [b"signed in"]


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_a_wrong_password_is_refused(kafka: Kafka, mechanism: str) -> None:
    options = {
        "sasl_mechanism": mechanism,
        "sasl_plain_username": "app",
        "sasl_plain_password": "another",
    }
    with pytest.raises(KafkaConnectionError):
        async with producer(kafka.signed_in, security_protocol="SASL_PLAINTEXT", **options):
            pytest.fail("it was let in")


def test_a_client_that_shares_no_code_with_ours_sees_the_same_topic(
    kafka: Kafka, topic: str
) -> None:
    failed: list[object] = []
    client = confluent_kafka.Producer(
        {"bootstrap.servers": kafka.bootstrap, "enable.idempotence": True}
    )
    client.produce(
        topic, b"from elsewhere", b"key", on_delivery=lambda error, _: failed.append(error)
    )
    assert client.flush(20) == 0
    assert failed == [None]
    assert asyncio.run(read(kafka.bootstrap, topic, 1)) == [b"from elsewhere"]


def test_topics_are_not_made_by_asking_for_them(kafka: Kafka) -> None:
    client = confluent_kafka.Producer({"bootstrap.servers": kafka.bootstrap})
    name = f"unknown-{uuid4().hex[:8]}"
    assert client.list_topics(name, 10).topics[name].error is not None
    assert name not in client.list_topics(timeout=PATIENCE_S).topics


def test_the_command_says_where_it_is_and_ends_with_ctrl_c(kafka: Kafka, tmp_path: Path) -> None:
    started = subprocess.Popen(
        [sys.executable, "-m", "deploy.kafka", str(tmp_path / "node"), "--port", "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with started:
        assert started.stdout is not None
        words, _, address = started.stdout.readline().strip().rpartition(" ")
        assert words == "Kafka bootstrap"
        assert asyncio.run(topics(address)) == []
        started.send_signal(signal.SIGINT)
        assert started.wait(30) == 0
    with pytest.raises(KafkaConnectionError):
        asyncio.run(topics(address))


async def topics(bootstrap: str) -> list[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        return list(await admin.list_topics())
    finally:
        await admin.close()


def test_a_busy_port_is_named_with_the_option_that_changes_it(kafka: Kafka, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "deploy.kafka",
        str(tmp_path),
        "--port",
        str(kafka.port.number),
    ]
    ended = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 2
    assert str(kafka.port.number) in ended.stderr
    assert "--port" in ended.stderr
