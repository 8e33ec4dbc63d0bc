"""Topics are made by us, with their partitions and policies, and checked at start."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from shared.contracts.topics import INSTALLATION, INSTALLATION_TOPIC, TOPICS, Topic
from shared.errors import TributaryError
from shared.kafka.client_config import client_options
from shared.kafka.installation_record import read_layout, write_layout
from shared.layout import UNVERSIONED, require_layout
from shared.settings import Cluster

SETTLE_S: Final = 15.0
POLL_S: Final = 0.1
THE_TOPICS: Final = "What Kafka holds under our topics' names"
COPIES: Final = 3
"""Of each topic, where there are as many brokers."""


class ClusterUnsuitable(TributaryError):
    """The cluster has no topic of ours, or one with too few partitions, or refuses to make one."""

    code = "cluster_unsuitable"


async def _nothing() -> None: ...


async def ensure_topics(cluster: Cluster, *, local: bool) -> None:
    """Create what is missing; ``local`` takes the small partition counts of the embedded broker.

    The topic that says which layout the others have comes first, with its record: a start that is killed in between
    is finished by the next one, and topics without that record are older ones.

    Raises:
        ClusterUnsuitable: says which topic, why, and what to do.
        LayoutRefused: the topics have another layout; nothing was changed.
    """
    async with _admin(cluster) as admin:
        found = await _layout(cluster, admin, await _existing(admin))
        if found is None:
            await _make(admin, [INSTALLATION_TOPIC], local=local)
            await write_layout(cluster)
        else:
            require_layout(found, THE_TOPICS)
        described = await _make(admin, TOPICS, local=local)
    wanted = {topic.name: topic.local_partitions if local else topic.partitions for topic in TOPICS}
    for topic in described:
        _check(topic, {wanted[topic["topic"]]})


async def check_topics(cluster: Cluster) -> None:
    """Check that all topics are there, as a cluster or the embedded broker has them: services use no others.

    Raises:
        ClusterUnsuitable: says which topic, why, and what to do.
        LayoutRefused: the topics have another layout.
    """
    async with _admin(cluster) as admin:
        existing = set(await admin.list_topics())
        found = await _layout(cluster, admin, existing)
        if found is not None:
            require_layout(found, THE_TOPICS)
        missing = [
            topic.name for topic in (INSTALLATION_TOPIC, *TOPICS) if topic.name not in existing
        ]
        if missing or found is None:
            name = missing[0] if missing else f"{INSTALLATION} with a record in it"
            raise ClusterUnsuitable(
                f"Kafka has no topic {name}. Make the topics: python -m deploy.setup"
            )
        described = await _described(admin, TOPICS)
    sizes = {topic.name: {topic.partitions, topic.local_partitions} for topic in TOPICS}
    for topic in described:
        _check(topic, sizes[topic["topic"]])


async def check_topics_layout(cluster: Cluster) -> None:
    """Raise ``LayoutRefused`` if the cluster has topics of ours, and they have another layout."""
    found = await topics_layout(cluster)
    if found is not None:
        require_layout(found, THE_TOPICS)


async def topics_layout(cluster: Cluster) -> int | None:
    """Return the layout of the topics of this cluster; None if it has none of ours."""
    async with _admin(cluster) as admin:
        return await _layout(cluster, admin, await _existing(admin))


async def drop_topics(cluster: Cluster, *former: str) -> None:
    """Delete all topics of ours and those called ``former``, with what they hold; return when they are gone.

    The record of their layout goes first: what is left when this is killed is of no known layout.

    Raises:
        ClusterUnsuitable: says which topic, and why.
    """
    names = {topic.name for topic in TOPICS} | {*former}
    async with _admin(cluster) as admin:
        await _delete(admin, {INSTALLATION})
        await _delete(admin, names)
        await _gone(admin, {INSTALLATION} | names)


async def _layout(cluster: Cluster, admin: AIOKafkaAdminClient, existing: set[str]) -> int | None:
    found = None
    if INSTALLATION in existing:
        await _described(admin, [INSTALLATION_TOPIC])
        found = await read_layout(cluster)
    if found is None and any(topic.name in existing for topic in TOPICS):
        return UNVERSIONED
    return found


async def _existing(admin: AIOKafkaAdminClient) -> set[str]:
    """Return the topics there are, ours for certain: the controller knows them, whom a broker may lag behind."""
    ours = [_new(topic, copies=1, local=True) for topic in (INSTALLATION_TOPIC, *TOPICS)]
    answer = await admin.create_topics(ours, validate_only=True)
    refused = {
        name for name, code, *_ in answer.topic_errors if code == TopicAlreadyExistsError.errno
    }
    return refused | set(await admin.list_topics())


async def _delete(admin: AIOKafkaAdminClient, names: set[str]) -> None:
    answer = await admin.delete_topics(sorted(names))
    for name, code in answer.topic_error_codes:
        if code not in {0, UnknownTopicOrPartitionError.errno}:
            raise ClusterUnsuitable(f"Topic {name} cannot be deleted: {for_code(code).__name__}.")


async def _gone(admin: AIOKafkaAdminClient, names: set[str]) -> None:
    """Wait until no broker that is asked knows them; each time it is another one."""
    end = time.monotonic() + SETTLE_S
    left = 2 * len((await admin.describe_cluster())["brokers"])
    while left:
        still = names & set(await admin.list_topics())
        if still and time.monotonic() > end:
            raise ClusterUnsuitable(
                f"Topic {min(still)} was deleted and is still there. Try again."
            )
        left -= not still
        await asyncio.sleep(POLL_S)


async def _make(
    admin: AIOKafkaAdminClient, topics: Sequence[Topic], *, local: bool
) -> Sequence[Mapping[str, Any]]:
    """Create those of ``topics`` that are missing, and describe all of them."""
    copies = 1 if local else min(COPIES, len((await admin.describe_cluster())["brokers"]))

    async def create_missing() -> None:
        """Again and again: a cluster may refuse for a moment to make a topic that it has just deleted."""
        existing = set(await admin.list_topics())
        await _create(
            admin,
            [_new(topic, copies, local=local) for topic in topics if topic.name not in existing],
        )

    return await _described(admin, topics, before=create_missing)


async def _described(
    admin: AIOKafkaAdminClient,
    topics: Sequence[Topic],
    *,
    before: Callable[[], Awaitable[None]] = _nothing,
) -> Sequence[Mapping[str, Any]]:
    """Ask until each has partitions: a cluster that has just made a topic may not know them yet."""
    names = sorted(topic.name for topic in topics)
    end = time.monotonic() + SETTLE_S
    while True:
        await before()
        found: Sequence[Mapping[str, Any]] = await admin.describe_topics(names)
        if all(topic["partitions"] for topic in found) or time.monotonic() > end:
            return found
        await asyncio.sleep(POLL_S)


def _new(topic: Topic, copies: int, *, local: bool) -> NewTopic:
    return NewTopic(
        topic.name,
        topic.local_partitions if local else topic.partitions,
        copies,
        topic_configs=topic.config,
    )


@asynccontextmanager
async def _admin(cluster: Cluster) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**client_options(cluster))
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


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
            raise ClusterUnsuitable(
                f"Topic {name} cannot be made: error {code} {rest[0] if rest else ''}".rstrip()
            )


async def cluster_id(cluster: Cluster) -> str:
    """Return the identity of the cluster."""
    async with _admin(cluster) as admin:
        return str((await admin.describe_cluster())["cluster_id"])
