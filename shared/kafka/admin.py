"""Topics are made by us, with their partitions and policies, and checked at start."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError

from shared.contracts.topics import TOPICS
from shared.errors import HubError
from shared.kafka.client_config import client_options
from shared.settings import Cluster

SETTLE_S: Final = 15.0
COPIES: Final = 3
"""Of each topic, where there are as many brokers."""


class ClusterUnsuitable(HubError):
    """The cluster has no topic of ours, or one with too few partitions, or refuses to make one."""

    code = "cluster_unsuitable"


async def ensure_topics(cluster: Cluster, *, local: bool) -> None:
    """Create what is missing; ``local`` takes the small partition counts of the embedded broker.

    Raises:
        ClusterUnsuitable: says which topic, why, and what to do.
    """
    admin = AIOKafkaAdminClient(**client_options(cluster))
    await admin.start()
    try:
        existing = set(await admin.list_topics())
        wanted = {topic.name: topic.local_partitions if local else topic.partitions for topic in TOPICS}
        copies = 1 if local else min(COPIES, len((await admin.describe_cluster())["brokers"]))
        fresh = [
            NewTopic(topic.name, wanted[topic.name], copies, topic_configs=topic.config)
            for topic in TOPICS
            if topic.name not in existing
        ]
        await _create(admin, fresh)
        described = await _described(admin, sorted(wanted))
    finally:
        await admin.close()
    for topic in described:
        _check(topic, {wanted[topic["topic"]]})


async def check_topics(cluster: Cluster) -> None:
    """Whether all topics are there, as a cluster or the embedded broker has them; a service reads and writes no others.

    Raises:
        ClusterUnsuitable: says which topic, why, and what to do.
    """
    admin = AIOKafkaAdminClient(**client_options(cluster))
    await admin.start()
    try:
        existing = set(await admin.list_topics())
        missing = [topic.name for topic in TOPICS if topic.name not in existing]
        if missing:
            raise ClusterUnsuitable(f"Kafka has no topic {missing[0]}. Make the topics: python -m deploy.setup")
        described = await _described(admin, [topic.name for topic in TOPICS])
    finally:
        await admin.close()
    sizes = {topic.name: {topic.partitions, topic.local_partitions} for topic in TOPICS}
    for topic in described:
        _check(topic, sizes[topic["topic"]])


async def _described(admin: AIOKafkaAdminClient, names: Sequence[str]) -> Sequence[Mapping[str, Any]]:
    """A cluster that has just made a topic may not know its partitions yet."""
    end = time.monotonic() + SETTLE_S
    while True:
        found: Sequence[Mapping[str, Any]] = await admin.describe_topics(list(names))
        if all(topic["partitions"] for topic in found) or time.monotonic() > end:
            return found
        await asyncio.sleep(0.1)


def _check(described: Mapping[str, Any], wanted: Collection[int]) -> None:
    count = len(described["partitions"])
    if count not in wanted:
        raise ClusterUnsuitable(
            f"Topic {described['topic']} has {count} partitions, {max(wanted)} are needed: keys would move. "
            "Use another cluster, or delete the topic if its content may go."
        )


async def _create(admin: AIOKafkaAdminClient, fresh: list[NewTopic]) -> None:
    if not fresh:
        return
    answer = await admin.create_topics(fresh)
    for name, code, *rest in answer.topic_errors:
        if code not in {0, TopicAlreadyExistsError.errno}:
            raise ClusterUnsuitable(f"Topic {name} cannot be made: error {code} {rest[0] if rest else ''}".rstrip())


async def cluster_id(cluster: Cluster) -> str:
    """Return the identity of the cluster."""
    admin = AIOKafkaAdminClient(**client_options(cluster))
    await admin.start()
    try:
        return str((await admin.describe_cluster())["cluster_id"])
    finally:
        await admin.close()
