"""The topics: name, key, owner, partitions and retention. Partitions are fixed for life."""

from __future__ import annotations

from typing import Final

import msgspec

DAY_MS: Final = 86_400_000
TOMBSTONES_DAYS: Final = 32
"""The time that a reader may be away and still see every deletion of an item."""
CONNECTIONS: Final = "tributary.connections.v1"
SYNCS: Final = "tributary.syncs.v1"
JOBS: Final = "tributary.jobs.v1"
BACKGROUND_JOBS: Final = "tributary.jobs.background.v1"
PROGRESS: Final = "tributary.progress.v1"
ITEMS: Final = "tributary.items.v1"


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """A topic as it is created.

    It has ``partitions`` on a cluster, and ``local_partitions`` on the broker for one machine.
    ``config`` is Kafka's own topic configuration.
    """

    name: str
    key: str
    owner: str
    about: str
    partitions: int = 24
    local_partitions: int = 4
    config: dict[str, str]


def _compacted(**config: str) -> dict[str, str]:
    return {
        "cleanup.policy": "compact",
        **{name.replace("_", "."): value for name, value in config.items()},
    }


def _trimmed(days: int) -> dict[str, str]:
    return {"cleanup.policy": "delete", "retention.ms": str(days * DAY_MS)}


PUBLIC: Final[tuple[Topic, ...]] = (
    Topic(
        name=CONNECTIONS,
        key="connection_id",
        owner="auth",
        about="The whole public snapshot of a connection, at each change.",
        config=_compacted(delete_retention_ms=str(30 * DAY_MS)),
    ),
    Topic(
        name=SYNCS,
        key="connection_id",
        owner="gateway",
        about="Requests to bring a connection up to date, or to read some of its items again.",
        config=_trimmed(7),
    ),
    Topic(
        name=JOBS,
        key="lane",
        owner="fetcher",
        about="Work to do: a pointer to a job whose next pages are due.",
        config=_trimmed(7),
    ),
    Topic(
        name=BACKGROUND_JOBS,
        key="lane",
        owner="fetcher",
        about="The same for work that nobody waits for: it gets at most a quarter of a fetcher's "
        "slots.",
        config=_trimmed(7),
    ),
    Topic(
        name=PROGRESS,
        key="sync_id",
        owner="fetcher",
        about="The progress of each job of a sync; its last event carries the receipt.",
        config=_trimmed(30),
    ),
    Topic(
        name=ITEMS,
        key="connection_id/resource/id",
        owner="fetcher",
        about="Every item, keyed; a null value is a deletion, with its reason in a header.",
        partitions=48,
        local_partitions=8,
        config=_compacted(
            delete_retention_ms=str(TOMBSTONES_DAYS * DAY_MS),
            max_compaction_lag_ms=str(DAY_MS),
            min_cleanable_dirty_ratio="0.1",
        ),
    ),
)


def dead_letters(topic: str) -> str:
    """Return the name of the topic for what could not be processed from ``topic``."""
    return f"{topic}.dlq"


TOPICS: Final[tuple[Topic, ...]] = PUBLIC + tuple(
    Topic(
        name=dead_letters(topic.name),
        key=topic.key,
        owner="the consumer's service",
        partitions=1,
        local_partitions=1,
        about=f"Messages of {topic.name} that could not be processed: the original bytes, where "
        "from, and why.",
        config=_trimmed(30),
    )
    for topic in PUBLIC
)

INSTALLATION: Final = "tributary.installation.v1"
INSTALLATION_TOPIC: Final = Topic(
    name=INSTALLATION,
    key="installation",
    owner="deploy.setup",
    about="The layout version of all topics here, in one record that each service reads at its "
    "start.",
    partitions=1,
    local_partitions=1,
    config=_compacted(),
)
"""The topic of the layout.

It is created before the others. Nobody consumes it, so it has no dead letters.
"""
