"""Each setting with which FastStream or aiokafka loses messages is refused at the start."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from faststream import AckPolicy
from faststream.kafka import KafkaBroker

from shared.kafka import ConsumedRecord, Consumers, Producer, UnsafeClient
from shared.kafka.client_safety import check_subscribers
from shared.kafka.record import undecoded, untouched
from shared.settings import Cluster
from shared.tests.kafka_harness import Kafka, consuming
from tests.support.waiting import until

NOWHERE = Cluster(bootstrap="127.0.0.1:1")
SAFE: dict[str, Any] = {
    "group_id": "g",
    "batch": True,
    "ack_policy": AckPolicy.MANUAL,
    "auto_offset_reset": "earliest",
    "no_reply": True,
    "parser": untouched,
    "decoder": undecoded,
}


def broker(*, creates: bool = False, **changed: Any) -> KafkaBroker:
    made = KafkaBroker("127.0.0.1:1", allow_auto_create_topics=creates, logger=None)

    options = {name: value for name, value in {**SAFE, **changed}.items() if value is not None}
    made.subscriber("plums", **options)(nothing)
    return made


async def nothing(_: ConsumedRecord) -> None: ...


def test_what_we_declare_is_safe() -> None:
    check_subscribers(broker())
    consumers = Consumers(NOWHERE, service="test", producer=Producer.__new__(Producer))
    consumers.each("plums", nothing)
    check_subscribers(consumers.broker)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"ack_policy": None}, "acknowledges by itself"),
        ({"ack_policy": AckPolicy.ACK}, "acknowledges by itself"),
        ({"ack_policy": AckPolicy.NACK_ON_ERROR}, "acknowledges by itself"),
        ({"no_reply": None}, "reply_to"),
        ({"auto_offset_reset": None}, "auto_offset_reset"),
        ({"auto_offset_reset": "latest"}, "auto_offset_reset"),
        ({"creates": True}, "creates missing topics"),
        ({"parser": None}, "decodes messages before"),
        ({"decoder": None}, "decodes messages before"),
        ({"batch": None}, "several workers"),
        ({"batch": None, "max_workers": 2, "ack_policy": AckPolicy.ACK_FIRST}, "several workers"),
    ],
)
def test_a_consumer_that_would_lose_messages_is_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(UnsafeClient, match=f"the consumer of plums .*{said}"):
        check_subscribers(broker(**changed))


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"enable_auto_commit": True}, "commits by itself"),
        ({"auto_offset_reset": "latest"}, "auto_offset_reset"),
    ],
)
async def test_what_a_running_consumer_really_does_counts_and_then_nothing_is_read(
    kafka: Kafka, setting: dict[str, Any], said: str
) -> None:
    """Imitate an upgrade of FastStream that passes on other settings than it was given."""
    await kafka.put(kafka.topic, b"1")
    read: list[ConsumedRecord] = []

    async def keep(one: ConsumedRecord) -> None:
        read.append(one)

    consumers = Consumers(kafka.cluster, service="test", producer=kafka.producer)
    consumers.each(kafka.topic, keep)
    config: Any = consumers.broker.config
    build = config.builder
    config.builder = lambda **given: build(**{**given, **setting})
    with pytest.raises(UnsafeClient, match=said):
        await consumers.start()
    assert (read, await kafka.committed(kafka.topic)) == ([], 0)


@pytest.mark.parametrize(
    ("setting", "said"), [({"acks": 1}, "acks is not all"), ({"acks": "all"}, "idempotence is off")]
)
async def test_a_producer_that_would_lose_or_double_messages_is_refused(
    setting: dict[str, Any], said: str
) -> None:
    def make(**options: Any) -> AIOKafkaProducer:
        return AIOKafkaProducer(**{**options, "enable_idempotence": False, **setting})

    producer = Producer(NOWHERE, client_id="test", make=make)
    with pytest.raises(UnsafeClient, match=said):
        await producer.start()


async def test_a_reply_to_header_is_not_answered(kafka: Kafka) -> None:
    other = await kafka.another()
    read: list[ConsumedRecord] = []

    async def answers(one: ConsumedRecord) -> str:
        read.append(one)
        return "an answer"

    await kafka.put(kafka.topic, b"1", reply_to=other.encode(), correlation_id=b"c")
    wrong: Any = answers
    async with consuming(kafka, lambda consumers: consumers.each(kafka.topic, wrong)):
        await until(lambda: bool(read))
    assert (await kafka.committed(kafka.topic), await kafka.ends(other)) == (1, 0)
