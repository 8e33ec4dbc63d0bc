"""Tell which log a stored position belongs to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import IncompatibleBrokerVersion

from shared.kafka.admin import cluster_id
from shared.kafka.client_config import client_options
from shared.kafka.wire import NO_ID, TopicIds
from shared.settings import Cluster

SETTLE_S: Final = 15.0

log = structlog.get_logger()


async def log_ids(cluster: Cluster, topics: Sequence[str]) -> Mapping[str, str]:
    """Return topic → the identity of its log. A position stored for another log is meaningless.

    The identity consists of the ids of cluster and topic (KIP-516), so a topic that was deleted and
    created again is another log. A Kafka before 2.8 knows no topic ids: there it is the cluster's
    id alone.

    Raises:
        LookupError: Kafka does not know one of the topics.
        KafkaError: Kafka cannot be reached.
    """
    client = AIOKafkaClient(**client_options(cluster))
    await client.bootstrap()
    try:
        answer = await _known(client, topics)
        return {
            topic["topic"]: f"{answer['cluster_id']}:{topic['topic_id']}"
            for topic in answer["topics"]
        }
    except IncompatibleBrokerVersion:
        log.warning(
            "topics_without_ids", consequence="a topic that is created again is not noticed"
        )
        return dict.fromkeys(topics, await cluster_id(cluster))
    finally:
        await client.close()


async def _known(client: AIOKafkaClient, topics: Sequence[str]) -> dict[str, Any]:
    """Ask until every topic has an id.

    A broker may not have heard yet of a topic that was just created.
    """
    end = time.monotonic() + SETTLE_S
    while True:
        response = await client.send(client.get_random_node(), TopicIds(topics))
        answer: dict[str, Any] = response.to_object()
        missing = [
            topic["topic"]
            for topic in answer["topics"]
            if topic["error_code"] or topic["topic_id"] == NO_ID
        ]
        if not missing:
            return answer
        if time.monotonic() > end:
            raise LookupError(f"Kafka does not know the topic {missing[0]}")
        await asyncio.sleep(0.1)
