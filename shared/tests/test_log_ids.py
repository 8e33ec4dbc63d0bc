"""A topic that is created again is another log, on the same cluster and with the same name."""

from __future__ import annotations

import asyncio
import struct

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.localkafka import wire
from shared.kafka import log_ids
from shared.kafka.wire import METADATA, NEWEST, TopicIds
from shared.settings import Cluster
from shared.tests.kafka_harness import Kafka


async def made_anew(kafka: Kafka, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([topic])
        while topic in await admin.list_topics():
            pass
        while (await admin.create_topics([NewTopic(topic, 4, 1)])).topic_errors[0][1]:
            pass
    finally:
        await admin.close()


async def test_each_topic_has_an_identity_that_ends_with_it(kafka: Kafka) -> None:
    other = await kafka.another()
    before = await log_ids(kafka.cluster, [kafka.topic, other])
    assert before == await log_ids(kafka.cluster, [other, kafka.topic])
    assert before[kafka.topic] != before[other]
    await made_anew(kafka, kafka.topic)
    after = await log_ids(kafka.cluster, [kafka.topic, other])
    assert after[other] == before[other]
    assert after[kafka.topic] not in before.values()
    clusters = {id_.partition(":")[0] for id_ in (*before.values(), *after.values())}
    assert len(clusters) == 1


async def test_many_topics_are_asked_for_at_once(kafka: Kafka) -> None:
    topics = [kafka.topic, *[await kafka.another() for _ in range(3)]]
    assert sorted(await log_ids(kafka.cluster, topics)) == sorted(topics)


@pytest.mark.parametrize(("newest", "spoken"), [(NEWEST + 5, NEWEST), (NEWEST, NEWEST), (10, 10)])
def test_the_newest_version_that_both_sides_speak_is_chosen(newest: int, spoken: int) -> None:
    assert type(TopicIds(["things"]).prepare({3: (0, newest)})) is METADATA[spoken]


async def old_kafka(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer as a Kafka before 2.8 with one node, which knows no topic ids."""
    port = writer.get_extra_info("sockname")[1]
    brokers = [{"node_id": 0, "host": "127.0.0.1", "port": port, "rack": None}]
    answers = {
        wire.Key.API_VERSIONS: {
            "error_code": 0,
            "throttle_time_ms": 0,
            "api_versions": [
                {"api_key": key, "min_version": 0, "max_version": most}
                for key, most in ((3, 5), (18, 2))
            ],
        },
        wire.Key.METADATA: {
            "throttle_time_ms": 0,
            "brokers": brokers,
            "cluster_id": "old",
            "controller_id": 0,
            "topics": [],
        },
    }
    while length := await reader.read(4):
        request = wire.decoded(await reader.readexactly(struct.unpack(">i", length)[0]))
        writer.write(wire.encoded(request, answers[request.key]))
    writer.close()


async def test_a_kafka_without_ids_of_topics_gives_its_own_for_all() -> None:
    async with await asyncio.start_server(old_kafka, "127.0.0.1", 0) as server:
        cluster = Cluster(bootstrap=f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
        assert await log_ids(cluster, ["things", "others"]) == {"things": "old", "others": "old"}
