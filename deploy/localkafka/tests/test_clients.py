"""Everything that a standard client may rely on, with two clients that share no code."""

import asyncio
from itertools import groupby
from pathlib import Path

import confluent_kafka
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.errors import UnknownTopicOrPartitionError
from confluent_kafka import Producer, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.cimpl import NewTopic as ConfluentTopic

from deploy.localkafka import Broker
from deploy.localkafka.tests.harness import (
    Aiokafka,
    Confluent,
    Kafka,
    admin,
    consumer,
    create_topic,
    producer,
)
from tests.support.waiting import PATIENCE_S, turns


async def test_records_come_back_with_key_headers_and_null_values(
    address: str, kafka: Kafka
) -> None:
    await create_topic(address, "things")
    await kafka.write(address, "things", [(b"a", b"1"), (b"b", None), (None, b"3")])
    found = await kafka.read(address, "things", 3)
    assert [(item.offset, item.key, item.value) for item in found] == [
        (0, b"a", b"1"),
        (1, b"b", None),
        (2, None, b"3"),
    ]
    assert all(item.headers == list(Aiokafka.headers) for item in found)


async def test_records_of_a_key_keep_their_order(address: str, kafka: Kafka) -> None:
    await create_topic(address, "things", partitions=4)
    await kafka.write(address, "things", [(b"key %d" % (n % 20), b"%d" % n) for n in range(2000)])
    found = sorted(
        await kafka.read(address, "things", 2000),
        key=lambda item: (item.key, item.partition, item.offset),
    )
    assert len({item.partition for item in found}) == 4
    for _, items in groupby(found, key=lambda item: item.key):
        numbers = [int(item.value or b"") for item in items]
        assert numbers == sorted(numbers)
        assert len(numbers) == 100


async def test_a_group_goes_on_where_it_committed(address: str, kafka: Kafka) -> None:
    await create_topic(address, "things")
    await kafka.write(address, "things", [(b"k", b"old")] * 5)
    assert len(await kafka.read(address, "things", 5, group="readers", commit=True)) == 5
    await kafka.write(address, "things", [(b"k", b"new")])
    assert [item.value for item in await kafka.read(address, "things", 1, group="readers")] == [
        b"new"
    ]


async def test_what_one_client_wrote_the_other_reads(address: str, kafka: Kafka) -> None:
    await create_topic(address, "things")
    await kafka.write(address, "things", [(b"k", b"v%d" % n) for n in range(100)])
    found = await Aiokafka().read(address, "things", 100)
    assert [item.value for item in found] == [b"v%d" % n for n in range(100)]


async def test_an_unknown_topic_is_not_created_by_asking_for_it(address: str) -> None:
    async with admin(address) as client:
        described = await client.describe_topics(["nowhere"])
        assert [topic["error_code"] for topic in described] == [UnknownTopicOrPartitionError.errno]
        assert await client.list_topics() == []
    with pytest.raises(confluent_kafka.KafkaException, match="UNKNOWN_TOPIC_OR_PART"):
        await asyncio.to_thread(_confluent_write, address, "nowhere")


async def test_topics_are_created_once_and_with_settings_that_exist(address: str) -> None:
    async with admin(address) as client:
        topics = [
            NewTopic("fine", 3, 1, topic_configs={"cleanup.policy": "compact"}),
            NewTopic("replicated", 1, 3),
            NewTopic("empty", 0, 1),
            NewTopic("odd/name", 1, 1),
            NewTopic("misspelt", 1, 1, topic_configs={"cleanup.polizy": "compact"}),
            NewTopic("negative", 1, 1, topic_configs={"retention.ms": "-2"}),
        ]
        first = await client.create_topics(topics)
        again = await client.create_topics(topics[:1])
        names = await client.list_topics()
    assert {error[0]: error[1] for error in first.topic_errors} == {
        "fine": 0,
        "replicated": 38,
        "empty": 37,
        "odd/name": 17,
        "misspelt": 40,
        "negative": 40,
    }
    assert [error[1] for error in again.topic_errors] == [36]
    assert names == ["fine"]


async def test_the_second_client_administers_topics_and_groups_too(address: str) -> None:
    await create_topic(address, "things")
    await Aiokafka().write(address, "things", [(b"k", b"v")])
    await Aiokafka().read(address, "things", 1, group="readers", commit=True)
    assert await asyncio.to_thread(_administer, address) == (["readers"], "compact")


async def test_a_topic_can_be_deleted(address: str) -> None:
    await create_topic(address, "things")
    await Aiokafka().write(address, "things", [(b"k", b"v")])
    async with admin(address) as client:
        await client.delete_topics(["things"])
        assert await client.list_topics() == []
    await create_topic(address, "things")
    await Aiokafka().write(address, "things", [(b"k", b"again")])
    assert [item.value for item in await Aiokafka().read(address, "things", 1)] == [b"again"]


@pytest.mark.parametrize("acks", [0, 1])
async def test_weaker_acknowledgements_are_stored_too(address: str, acks: int) -> None:
    await create_topic(address, "things")
    async with producer(address, enable_idempotence=False, acks=acks) as client:
        for number in range(10):
            await client.send_and_wait("things", b"%d" % number)
    assert len(await Aiokafka().read(address, "things", 10)) == 10


@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
async def test_compressed_batches_come_back(address: str, compression: str) -> None:
    await create_topic(address, "things")
    await asyncio.to_thread(_confluent_write, address, "things", compression)
    found = await _confluent_reads(address, "things", 50)
    assert found == [b"v" * 100] * 50


async def test_offsets_are_found_by_time(address: str) -> None:
    await create_topic(address, "things")
    async with producer(address) as client:
        for time_ms in (1000, 2000, 3000):
            await client.send_and_wait("things", b"v", timestamp_ms=time_ms)
    part = TopicPartition("things", 0)
    async with consumer(address, "things") as client:
        assert await client.beginning_offsets([part]) == {part: 0}
        assert await client.end_offsets([part]) == {part: 3}
        assert (await client.offsets_for_times({part: 1500}))[part][:2] == (1, 2000)
        assert (await client.offsets_for_times({part: 3001}))[part] is None


async def test_a_reader_that_waits_is_woken_by_an_append(address: str) -> None:
    await create_topic(address, "things")
    async with (
        consumer(address, "things", fetch_max_wait_ms=60_000) as reader,
        producer(address) as writer,
    ):
        for number in range(20):  # at least one of them comes while a fetch is on its way
            waiting = asyncio.create_task(reader.getone())
            await turns(number)
            await writer.send_and_wait("things", b"%d" % number)
            assert (await asyncio.wait_for(waiting, 50)).value == b"%d" % number


async def test_a_large_record_arrives_although_it_exceeds_what_was_asked_for(address: str) -> None:
    await create_topic(address, "things")
    async with producer(address) as client:
        await client.send_and_wait("things", b"x" * 900_000)
    async with consumer(
        address, "things", max_partition_fetch_bytes=1000, fetch_max_bytes=1000
    ) as client:
        assert len((await asyncio.wait_for(client.getone(), PATIENCE_S)).value) == 900_000


async def test_the_cluster_id_is_the_identity_of_the_log(broker: Broker, address: str) -> None:
    async with admin(address) as client:
        assert (await client.describe_cluster())["cluster_id"] == broker.cluster_id
    second = await asyncio.to_thread(
        lambda: Producer({"bootstrap.servers": address}).list_topics().cluster_id
    )
    assert second == broker.cluster_id


async def test_clients_are_told_the_advertised_port(tmp_path: Path) -> None:
    broker = Broker(tmp_path, port=0, advertised_port=9)
    await broker.start()
    try:
        client = Producer({"bootstrap.servers": f"{broker.host}:{broker.port}"})
        found = await asyncio.to_thread(client.list_topics, timeout=PATIENCE_S)
    finally:
        await broker.stop()
    assert [(one.host, one.port) for one in found.brokers.values()] == [(broker.host, 9)]


async def test_a_topic_that_is_made_anew_has_another_id_and_keeps_it_over_a_restart(
    tmp_path: Path,
) -> None:
    broker = Broker(tmp_path, port=0)
    ids = []
    for step in ("made", "restarted", "made anew"):
        await broker.start()
        address = f"{broker.host}:{broker.port}"
        async with admin(address) as client:
            if step == "made anew":
                await client.delete_topics(["things"])
            if step != "restarted":
                await create_topic(address, "things")
        await create_topic(address, f"others {step}".replace(" ", "-"))
        ids.append(await asyncio.to_thread(_topic_id, address, "things"))
        assert (
            await asyncio.to_thread(_topic_id, address, f"others {step}".replace(" ", "-"))
            not in ids
        )
        await broker.stop()
    assert ids[0] == ids[1] != ids[2]


def _topic_id(address: str, topic: str) -> str:
    client = AdminClient({"bootstrap.servers": address})
    described = client.describe_topics(TopicCollection([topic]))[topic].result(PATIENCE_S)
    return str(described.topic_id)


def _confluent_write(address: str, topic: str, compression: str = "none") -> None:
    errors: list[confluent_kafka.KafkaError | None] = []
    client = confluent_kafka.Producer(
        {
            "bootstrap.servers": address,
            "compression.type": compression,
            "topic.metadata.propagation.max.ms": 100,
        }
    )
    for _ in range(50):
        client.produce(topic, b"v" * 100, on_delivery=lambda error, _: errors.append(error))
    assert client.flush(PATIENCE_S) == 0
    for error in filter(None, errors):
        raise confluent_kafka.KafkaException(error)


async def _confluent_reads(address: str, topic: str, count: int) -> list[bytes | None]:
    return [item.value for item in await Confluent().read(address, topic, count)]


def _administer(address: str) -> tuple[list[str], str]:
    client = AdminClient({"bootstrap.servers": address})
    for created in client.create_topics(
        [ConfluentTopic("more", 1, 1, config={"cleanup.policy": "compact"})]
    ).values():
        created.result(PATIENCE_S)
    resource = ConfigResource(ConfigResource.Type.TOPIC, "more")
    settings = client.describe_configs([resource])[resource].result(PATIENCE_S)
    groups = client.list_consumer_groups().result(PATIENCE_S).valid
    return [group.group_id for group in groups], settings["cleanup.policy"].value
