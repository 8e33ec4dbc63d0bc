"""Topics carry the version of their layout; those of another are never read or written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.kafka import Kafka
from deploy.localkafka import Broker
from deploy.upgrade.steps import FORMER_TOPICS
from shared.contracts.topics import CONNECTIONS, INSTALLATION, ITEMS, JOBS, SYNCS, TOPICS
from shared.kafka import (
    ClusterUnsuitable,
    check_topics,
    drop_topics,
    ensure_topics,
    lossy_policies,
    read_installation,
    topics_layout,
)
from shared.layout import LAYOUT, ForeignStore, LayoutRefused
from shared.settings import Cluster
from tests.support.waiting import until

OLD = (CONNECTIONS, ITEMS, *FORMER_TOPICS)
GROUP = "tributary.fetcher.connections"


@pytest.fixture(params=["local", pytest.param("apache", marks=pytest.mark.real)])
async def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Cluster]:
    """Yield a cluster without a topic of ours."""
    if request.param == "local":
        broker = Broker(tmp_path / "kafka", port=0)
        await broker.start()
        yield Cluster(bootstrap=f"{broker.host}:{broker.port}")
        await broker.stop()
        return
    kafka: Kafka = request.getfixturevalue("own_kafka")
    found = Cluster(bootstrap=kafka.bootstrap)
    yield found
    await drop_topics(found, *FORMER_TOPICS)


@asynccontextmanager
async def administered(cluster: Cluster) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def make(cluster: Cluster, *topics: str) -> None:
    async with administered(cluster) as admin:
        answer = await admin.create_topics([NewTopic(topic, 1, 1) for topic in topics])
        assert [error[1] for error in answer.topic_errors] == [0] * len(topics)


async def names(cluster: Cluster) -> set[str]:
    async with administered(cluster) as admin:
        return {name for name in await admin.list_topics() if name.startswith("tributary.")}


async def known(cluster: Cluster, *topics: str) -> None:
    """Wait until the broker reports them: it may lag behind the controller that made them."""

    async def told() -> bool:
        return set(topics) <= await names(cluster)

    await until(told)


async def delete(cluster: Cluster, topic: str) -> None:
    async with administered(cluster) as admin:
        await admin.delete_topics([topic])

    async def gone() -> bool:
        return topic not in await names(cluster)

    await until(gone)


async def append(cluster: Cluster, topic: str, value: bytes | None) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=cluster.bootstrap)
    await producer.start()
    await producer.send_and_wait(topic, value, key=b"installation")
    await producer.stop()


@asynccontextmanager
async def member(cluster: Cluster) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=cluster.bootstrap, group_id=GROUP, enable_auto_commit=False
    )
    await consumer.start()
    consumer.assign([TopicPartition(CONNECTIONS, 0)])
    try:
        yield consumer
    finally:
        await consumer.stop()


async def test_new_topics_have_todays_layout(cluster: Cluster) -> None:
    assert await topics_layout(cluster) is None
    for _ in range(2):
        await ensure_topics(cluster, local=True)
        assert await topics_layout(cluster) == LAYOUT
        await check_topics(cluster)
    assert await names(cluster) == {INSTALLATION, *(topic.name for topic in TOPICS)}


async def test_topics_keep_the_installation_that_they_were_made_for(cluster: Cluster) -> None:
    await ensure_topics(cluster, local=True, installation="one")
    await ensure_topics(cluster, local=True)
    recorded = await read_installation(cluster)
    assert recorded is not None
    assert recorded.id == "one"
    with pytest.raises(ForeignStore, match="databases and Kafka's topics belong to different inst"):
        await ensure_topics(cluster, local=True, installation="two")
    await ensure_topics(cluster, local=True, installation="one")


async def test_a_lost_record_is_made_again_if_the_databases_are_ours(cluster: Cluster) -> None:
    await ensure_topics(cluster, local=True, installation="one")
    await delete(cluster, INSTALLATION)
    await make(cluster, INSTALLATION)
    await known(cluster, INSTALLATION)
    with pytest.raises(LayoutRefused, match="has layout 1"):
        await ensure_topics(cluster, local=True)
    await ensure_topics(cluster, local=True, installation="one")
    await check_topics(cluster)
    recorded = await read_installation(cluster)
    assert recorded is not None
    assert recorded.id == "one"


async def test_a_topic_that_keeps_less_than_readers_rely_on_is_reported(cluster: Cluster) -> None:
    # As after an alteration: here they are created so in the first place.
    week = str(7 * 86_400_000)
    configs = {
        CONNECTIONS: {"cleanup.policy": "compact"},
        ITEMS: {"cleanup.policy": "compact,delete", "retention.ms": week},
        SYNCS: {"cleanup.policy": "delete", "retention.ms": "-1"},
        JOBS: {"cleanup.policy": "delete", "retention.ms": "1000"},
    }
    async with administered(cluster) as admin:
        made = [NewTopic(name, 1, 1, topic_configs=given) for name, given in configs.items()]
        answer = await admin.create_topics(made)
        assert [error[1] for error in answer.topic_errors] == [0] * len(made)
    await known(cluster, *configs)
    said = await lossy_policies(cluster, ["somebody.elses", *configs])
    assert said.keys() == {ITEMS, JOBS}
    assert "its cleanup.policy is compact,delete, so Kafka deletes" in said[ITEMS]
    assert f"--topic {ITEMS} --add-config cleanup.policy=compact" in said[ITEMS]
    assert "its retention.ms is 1000" in said[JOBS]


async def test_topics_of_before_are_refused_and_left_alone(cluster: Cluster) -> None:
    await make(cluster, *OLD)
    with pytest.raises(
        LayoutRefused, match=r"has layout 1, made by an older version.*make upgrade"
    ):
        await ensure_topics(cluster, local=True)
    await known(cluster, *OLD)
    with pytest.raises(
        LayoutRefused, match=r"has layout 1, made by an older version.*make upgrade"
    ):
        await check_topics(cluster)
    assert await names(cluster) == set(OLD)


async def test_topics_of_a_newer_version_are_refused(cluster: Cluster) -> None:
    await ensure_topics(cluster, local=True)
    await append(cluster, INSTALLATION, b'{"layout": %d, "more": true}' % (LAYOUT + 1))
    with pytest.raises(LayoutRefused, match="made by a newer version"):
        await ensure_topics(cluster, local=True)
    with pytest.raises(LayoutRefused, match="made by a newer version"):
        await check_topics(cluster)


@pytest.mark.parametrize("value", [b"nonsense", b'{"layout": "two"}', None])
async def test_a_record_that_is_not_ours_is_refused(cluster: Cluster, value: bytes | None) -> None:
    await ensure_topics(cluster, local=True)
    await append(cluster, INSTALLATION, value)
    with pytest.raises(LayoutRefused, match="holds a record that Tributary did not write"):
        await check_topics(cluster)


async def test_a_record_with_more_in_it_is_read(cluster: Cluster) -> None:
    """A newer version of the same layout may have written the record."""
    await ensure_topics(cluster, local=True)
    await append(cluster, INSTALLATION, b'{"layout": %d, "id": "new"}' % LAYOUT)
    await check_topics(cluster)


async def test_a_start_that_was_killed_between_topic_and_record_is_finished(
    cluster: Cluster,
) -> None:
    await make(cluster, INSTALLATION)
    await known(cluster, INSTALLATION)
    with pytest.raises(ClusterUnsuitable, match="Create the topics"):
        await check_topics(cluster)
    await ensure_topics(cluster, local=True)
    await check_topics(cluster)


async def test_a_start_that_was_killed_before_the_last_topic_is_finished(cluster: Cluster) -> None:
    await ensure_topics(cluster, local=True)
    await delete(cluster, ITEMS)
    with pytest.raises(ClusterUnsuitable, match=f"no topic {ITEMS}"):
        await check_topics(cluster)
    await ensure_topics(cluster, local=True)
    await check_topics(cluster)


async def test_dropped_topics_take_along_how_far_they_were_read(cluster: Cluster) -> None:
    """Otherwise messages sent to the topic of the same name would be skipped."""
    await make(cluster, *OLD)
    await known(cluster, *OLD)
    await append(cluster, CONNECTIONS, b"old")
    async with member(cluster) as consumer:
        await consumer.commit({TopicPartition(CONNECTIONS, 0): 1})
    await drop_topics(cluster, *FORMER_TOPICS)
    assert await names(cluster) == set()
    await ensure_topics(cluster, local=True)
    async with member(cluster) as consumer:
        assert await consumer.committed(TopicPartition(CONNECTIONS, 0)) is None
        assert await consumer.end_offsets([TopicPartition(CONNECTIONS, 0)]) == {
            TopicPartition(CONNECTIONS, 0): 0
        }


async def test_dropping_that_was_killed_leaves_what_is_refused(cluster: Cluster) -> None:
    await ensure_topics(cluster, local=True)
    await delete(cluster, INSTALLATION)
    with pytest.raises(LayoutRefused, match="has layout 1"):
        await ensure_topics(cluster, local=True)
    await drop_topics(cluster)
    await ensure_topics(cluster, local=True)
