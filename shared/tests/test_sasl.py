"""Sign in to a Kafka that asks for it; if it refuses, a sentence says why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from deploy.kafka import Kafka as Server
from deploy.servers import ProgramUnavailable
from shared.kafka import ConsumedRecord, Consumers, LogReader, Producer, SignInRefused
from shared.settings import Cluster, SecretStr
from shared.tests.kafka_harness import Kafka, consuming, kafka_at
from tests.support.waiting import until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("kafka"), users={"app": "right"}, brief=True)
    try:
        server.start()
        yield server
    except ProgramUnavailable as reason:
        pytest.skip(f"no Kafka here: {reason}")
    finally:
        server.close()


def signing_in(server: Server, **changed: Any) -> Cluster:
    given: dict[str, Any] = {
        "bootstrap": server.signed_in,
        "protocol": "SASL_PLAINTEXT",
        "mechanism": "SCRAM-SHA-512",
        "username": "app",
        "password": SecretStr("right"),
    }
    return Cluster(**{**given, **changed})


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_with_the_right_account_messages_come_and_go(server: Server, mechanism: str) -> None:
    cluster = signing_in(server, mechanism=mechanism)
    read: list[bytes | None] = []

    async def keep(one: ConsumedRecord) -> None:
        read.append(one.value)

    producer = Producer(cluster, client_id="test")
    await producer.start()
    async with kafka_at(server.bootstrap) as open_door:
        kafka = Kafka(server.signed_in, producer)
        kafka.cluster, kafka.topic = cluster, open_door.topic
        await kafka.put(kafka.topic, b"1")
        async with consuming(kafka, lambda consumers: consumers.each(kafka.topic, keep)):
            await until(lambda: read == [b"1"])
        async with LogReader(cluster, [kafka.topic]) as reader:
            assert [end - begin for begin, end in (await reader.bounds()).values()] == [1]
    await producer.stop()


@pytest.mark.parametrize(
    "wrong",
    [
        {"password": SecretStr("wrong")},
        {"username": "nobody"},
        {"mechanism": "PLAIN", "username": "nobody"},
    ],
)
async def test_with_a_wrong_account_everything_refuses_to_start_and_names_the_settings(
    server: Server, wrong: dict[str, Any]
) -> None:
    cluster = signing_in(server, **wrong)
    producer = Producer(cluster, client_id="test")
    with pytest.raises(
        SignInRefused, match=r"refuses to sign in the user \w+ .*TRIBUTARY_KAFKA_SASL_USERNAME"
    ) as refused:
        await producer.start()
    assert "wrong" not in refused.value.detail.replace("wrong account", "")
    consumers = Consumers(cluster, service="test", producer=producer)
    consumers.each("plums", _nothing)
    with pytest.raises(SignInRefused):
        await consumers.start()
    with pytest.raises(SignInRefused):
        async with LogReader(cluster, ["plums"]):
            pass


async def _nothing(_: ConsumedRecord) -> None: ...
