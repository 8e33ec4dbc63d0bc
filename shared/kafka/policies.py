"""Notice that a topic does not keep what readers rely on: somebody has reconfigured it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared.contracts.topics import TOPICS, Topic
from shared.kafka.admin import administered
from shared.settings import Cluster

CLEANUP: Final = "cleanup.policy"
RETENTION: Final = "retention.ms"
FOR_EVER: Final = -1


async def lossy_policies(cluster: Cluster, names: Collection[str]) -> Mapping[str, str]:
    """Return what a health check should say of each topic that deletes what it should keep.

    Topics that are not ours are left out, and so are those whose configuration we may not see.
    """
    ours = [topic for topic in TOPICS if topic.name in names]
    wanted = dict.fromkeys((CLEANUP, RETENTION))
    asked = [ConfigResource(ConfigResourceType.TOPIC, topic.name, wanted) for topic in ours]
    async with administered(cluster) as admin:
        answers = await admin.describe_configs(asked) if asked else []
    found: dict[str, dict[str, str]] = {}
    for answer in answers:
        for error, _, _, name, entries in answer.resources:
            if not error:
                found[name] = {entry[0]: entry[1] for entry in entries}
    said = {topic.name: _said(topic, found.get(topic.name, topic.config)) for topic in ours}
    return {name: trouble for name, trouble in said.items() if trouble}


def _said(topic: Topic, found: Mapping[str, str]) -> str:
    policy = topic.config[CLEANUP]
    if found[CLEANUP] != policy:
        return _set_back(topic, CLEANUP, found[CLEANUP], policy)
    least = int(topic.config.get(RETENTION, 0))
    kept = int(found.get(RETENTION, FOR_EVER))
    if kept != FOR_EVER and kept < least:
        return _set_back(topic, RETENTION, found[RETENTION], str(least))
    return ""


def _set_back(topic: Topic, name: str, found: str, wanted: str) -> str:
    return (
        f"its {name} is {found}, so Kafka deletes what readers rely on. Set it back: "
        f"kafka-configs.sh --alter --topic {topic.name} --add-config {name}={wanted}"
    )
