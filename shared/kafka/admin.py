"""Topics are made by us, with their partitions and policies, and checked at start."""

from __future__ import annotations

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError

from shared.contracts.topics import TOPICS


class ClusterUnsuitable(Exception):  # a fact about the cluster, said in words
    """The cluster has a topic of ours with too few partitions, or refuses to make one."""


async def ensure_topics(bootstrap: str, *, local: bool) -> None:
    """Create what is missing; ``local`` takes the small partition counts of the embedded broker.

    Raises:
        ClusterUnsuitable: says which topic, why, and what to do.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        existing = set(await admin.list_topics())
        wanted = {topic.name: topic.local if local else topic.partitions for topic in TOPICS}
        fresh = [
            NewTopic(topic.name, wanted[topic.name], -1 if not local else 1, topic_configs=topic.config)
            for topic in TOPICS
            if topic.name not in existing
        ]
        await _create(admin, fresh)
        described = await admin.describe_topics(sorted(wanted))
    finally:
        await admin.close()
    for topic in described:
        count = len(topic["partitions"])
        if count != wanted[topic["topic"]]:
            raise ClusterUnsuitable(
                f"topic {topic['topic']} has {count} partitions, {wanted[topic['topic']]} are needed: keys would move. "
                "Use another cluster, or delete the topic if its content may go."
            )


async def _create(admin: AIOKafkaAdminClient, fresh: list[NewTopic]) -> None:
    if not fresh:
        return
    answer = await admin.create_topics(fresh)
    for name, code, *rest in answer.topic_errors:
        if code not in {0, TopicAlreadyExistsError.errno}:
            raise ClusterUnsuitable(f"topic {name} cannot be made: error {code} {rest[0] if rest else ''}".rstrip())


async def cluster_id(bootstrap: str) -> str:
    """The identity of the log: positions stored for another one mean nothing here."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        return str((await admin.describe_cluster())["cluster_id"])
    finally:
        await admin.close()
