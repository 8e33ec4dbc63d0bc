"""Create our topics with their partitions and policies, and check them at each start."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from shared.contracts.topics import INSTALLATION, INSTALLATION_TOPIC, TOPICS, Topic
from shared.errors import TributaryError
from shared.kafka.client_config import client_options
from shared.kafka.installation_record import Installation, read_installation, write_installation
from shared.layout import THE_DATABASES, UNVERSIONED, require_installation, require_layout
from shared.settings import Cluster

SETTLE_S: Final = 15.0
POLL_S: Final = 0.1
THE_TOPICS: Final = "What Kafka holds under our topics' names"
COPIES: Final = 3
"""Replicas of each topic, on a cluster with at least as many brokers."""


class ClusterUnsuitable(TributaryError):
    """A topic of ours is missing, has too few partitions, or cannot be created."""

    code = "cluster_unsuitable"


async def _nothing() -> None: ...


async def ensure_topics(cluster: Cluster, *, local: bool, installation: str | None = None) -> None:
    """Create missing topics; ``local`` means the small partition counts of the local broker.

    ``installation`` is the id in the databases, None if they have none yet. It is recorded with the
    topics, or else a new one.

    The topic with that record is created first. If the process is killed in between, the next start
    finishes the job. Topics without the record are older ones; or it was lost, which databases that
    have an id tell.

    Raises:
        ClusterUnsuitable: names the topic, the reason, and what to do.
        LayoutRefused: the topics have another layout; nothing was changed.
        ForeignStore: they belong to another installation; nothing was changed.
    """
    async with administered(cluster) as admin:
        existing = await _existing(admin)
        found = await _recorded(cluster, admin, existing)
        lost = found is None and INSTALLATION in existing and installation is not None
        if found is None and not lost and _any_of_ours(existing):
            require_layout(UNVERSIONED, THE_TOPICS)
        if found is None:
            await _make(admin, [INSTALLATION_TOPIC], local=local)
        else:
            require_layout(found.layout, THE_TOPICS)
        if found is None or found.id is None:
            await write_installation(cluster, installation or uuid.uuid4().hex)
        elif installation is not None:
            require_installation(installation, found.id, THE_DATABASES)
        described = await _make(admin, TOPICS, local=local)
    wanted = {topic.name: _partitions(topic, local=local) for topic in TOPICS}
    for topic in described:
        _check(topic, {wanted[topic["topic"]]})


async def check_topics(cluster: Cluster) -> None:
    """Check that all topics exist and have a known number of partitions.

    Raises:
        ClusterUnsuitable: names the topic, the reason, and what to do.
        LayoutRefused: the topics have another layout.
    """
    async with administered(cluster) as admin:
        existing = set(await admin.list_topics())
        found = await _layout(cluster, admin, existing)
        if found is not None:
            require_layout(found, THE_TOPICS)
        needed = [topic.name for topic in (INSTALLATION_TOPIC, *TOPICS)]
        missing = [name for name in needed if name not in existing]
        if missing or found is None:
            name = missing[0] if missing else f"{INSTALLATION} with a record in it"
            raise ClusterUnsuitable(
                f"Kafka has no topic {name}. Create the topics: python -m deploy.setup"
            )
        described = await _described(admin, TOPICS)
    sizes = {topic.name: {topic.partitions, topic.local_partitions} for topic in TOPICS}
    for topic in described:
        _check(topic, sizes[topic["topic"]])


async def check_topics_layout(cluster: Cluster) -> None:
    """Raise ``LayoutRefused`` if the cluster has topics of ours with another layout."""
    found = await topics_layout(cluster)
    if found is not None:
        require_layout(found, THE_TOPICS)


async def topics_layout(cluster: Cluster) -> int | None:
    """Return the layout of our topics on this cluster, None if it has none."""
    async with administered(cluster) as admin:
        return await _layout(cluster, admin, await _existing(admin))


async def drop_topics(cluster: Cluster, *former: str) -> None:
    """Delete our topics and those named ``former``, with their content; return when they are gone.

    The record of the layout goes first: if this is killed halfway, the rest has no known layout.

    Raises:
        ClusterUnsuitable: names the topic and the reason.
    """
    names = {topic.name for topic in TOPICS} | {*former}
    async with administered(cluster) as admin:
        await _delete(admin, {INSTALLATION})
        await _delete(admin, names)
        await _gone(admin, {INSTALLATION} | names)


async def _layout(cluster: Cluster, admin: AIOKafkaAdminClient, existing: set[str]) -> int | None:
    found = await _recorded(cluster, admin, existing)
    if found is not None:
        return found.layout
    return UNVERSIONED if _any_of_ours(existing) else None


async def _recorded(
    cluster: Cluster, admin: AIOKafkaAdminClient, existing: set[str]
) -> Installation | None:
    if INSTALLATION not in existing:
        return None
    await _described(admin, [INSTALLATION_TOPIC])
    return await read_installation(cluster)


def _any_of_ours(existing: set[str]) -> bool:
    return any(topic.name in existing for topic in TOPICS)


async def _existing(admin: AIOKafkaAdminClient) -> set[str]:
    """Return the names of existing topics, without missing any of ours.

    A broker's list may lag behind the controller, so the controller is asked too: it refuses to
    validate the creation of a topic that exists.
    """
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
            raise ClusterUnsuitable(
                f"Kafka refused to delete the topic {name}: {for_code(code).__name__}. Check that "
                "this account may delete topics, then repeat."
            )


async def _gone(admin: AIOKafkaAdminClient, names: set[str]) -> None:
    """Wait until no broker lists the topics any more.

    Each request goes to another broker, so twice as many clean answers as there are brokers are
    enough.
    """
    end = time.monotonic() + SETTLE_S
    left = 2 * len((await admin.describe_cluster())["brokers"])
    while left:
        still = names & set(await admin.list_topics())
        if still and time.monotonic() > end:
            raise ClusterUnsuitable(
                f"Kafka still has the topic {min(still)}, {SETTLE_S:.0f} s after it was deleted. "
                "Repeat this later."
            )
        left -= not still
        await asyncio.sleep(POLL_S)


async def _make(
    admin: AIOKafkaAdminClient, topics: Sequence[Topic], *, local: bool
) -> Sequence[Mapping[str, Any]]:
    """Create the topics that are missing, and describe all of them."""
    copies = 1 if local else min(COPIES, len((await admin.describe_cluster())["brokers"]))

    async def create_missing() -> None:
        """Create what is missing now.

        Called repeatedly: a cluster may refuse for a moment to create a topic that it has just
        deleted.
        """
        existing = set(await admin.list_topics())
        missing = [topic for topic in topics if topic.name not in existing]
        await _create(admin, [_new(topic, copies, local=local) for topic in missing])

    return await _described(admin, topics, before=create_missing)


async def _described(
    admin: AIOKafkaAdminClient,
    topics: Sequence[Topic],
    *,
    before: Callable[[], Awaitable[None]] = _nothing,
) -> Sequence[Mapping[str, Any]]:
    """Describe the topics once each has partitions.

    A broker may not yet know a topic that was just created. After ``SETTLE_S`` the answer is
    returned as it is.
    """
    names = sorted(topic.name for topic in topics)
    end = time.monotonic() + SETTLE_S
    while True:
        await before()
        found: Sequence[Mapping[str, Any]] = await admin.describe_topics(names)
        if all(topic["partitions"] for topic in found) or time.monotonic() > end:
            return found
        await asyncio.sleep(POLL_S)


def _partitions(topic: Topic, *, local: bool) -> int:
    return topic.local_partitions if local else topic.partitions


def _new(topic: Topic, copies: int, *, local: bool) -> NewTopic:
    return NewTopic(
        topic.name,
        _partitions(topic, local=local),
        copies,
        topic_configs=topic.config,
    )


@asynccontextmanager
async def administered(cluster: Cluster) -> AsyncIterator[AIOKafkaAdminClient]:
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
            f"The topic {described['topic']} has {count} partitions instead of {max(wanted)}, so "
            "keys would be on other partitions. Use another cluster, or delete the topic if you "
            "do not need its content."
        )


async def _create(admin: AIOKafkaAdminClient, fresh: list[NewTopic]) -> None:
    if not fresh:
        return
    answer = await admin.create_topics(fresh)
    for name, code, *rest in answer.topic_errors:
        if code not in {0, TopicAlreadyExistsError.errno}:
            raise ClusterUnsuitable(_not_created(name, code, *rest))


def _not_created(name: str, code: int, message: str | None = None) -> str:
    told = f"{for_code(code).__name__}: {message or 'Kafka gave no reason'}"
    return (
        f"Kafka refused to create the topic {name} ({told}). Check that this account may create "
        "topics and that the cluster has room for it."
    )


async def cluster_id(cluster: Cluster) -> str:
    """Return the id of the cluster."""
    async with administered(cluster) as admin:
        return str((await admin.describe_cluster())["cluster_id"])
