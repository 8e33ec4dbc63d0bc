"""Read any topic as a raw log, append to it, and see how far each service has come in it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from shared.contracts.topics import BACKGROUND_JOBS, CONNECTIONS, ITEMS, JOBS, PROGRESS, SYNCS
from tests.support.waiting import PATIENCE_S, eventually

READERS = {
    ITEMS: ("gateway",),
    PROGRESS: ("gateway",),
    CONNECTIONS: ("gateway", "fetcher"),
    SYNCS: ("gateway", "fetcher"),
    JOBS: ("fetcher",),
    BACKGROUND_JOBS: ("fetcher",),
}


@dataclass(frozen=True)
class Raw:
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


def read(bootstrap: str, topic: str) -> list[Raw]:
    """Return all of it, each partition in order."""
    client = _consumer(bootstrap, "nobody")
    try:
        ends = _ends(client, topic)
        client.assign([TopicPartition(topic, partition, 0) for partition in ends])
        found: list[Raw] = []
        deadline = time.monotonic() + PATIENCE_S
        while any(
            place.offset < ends[place.partition] for place in _positions(client, topic, ends)
        ):
            assert time.monotonic() < deadline, f"{topic} was not read in {PATIENCE_S} s"
            found += [_raw(one) for one in client.consume(1000, timeout=0.2) if one.error() is None]
    finally:
        client.close()
    return sorted(found, key=lambda one: (one.partition, one.offset))


def append(bootstrap: str, records: Iterable[Raw]) -> None:
    """Append each message to the partition it names, in this order."""
    failed: list[object] = []
    client = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "log_level": 0})
    for one in records:
        client.produce(
            one.topic,
            one.value,
            one.key,
            partition=one.partition,
            headers=list(one.headers),
            on_delivery=lambda error, _: failed.append(error) if error else None,
        )
        client.poll(0)
    assert client.flush(PATIENCE_S) == 0
    assert not failed, failed


def committed(bootstrap: str, service: str, topic: str) -> dict[int, int]:
    """Return partition → the offset that the service has committed, if it has."""
    client = _consumer(bootstrap, f"tributary.{service}.{topic}")
    try:
        places = [TopicPartition(topic, partition) for partition in _ends(client, topic)]
        return {
            place.partition: place.offset
            for place in client.committed(places, PATIENCE_S)
            if place.offset >= 0
        }
    finally:
        client.close()


def caught_up(bootstrap: str, *topics: str) -> None:
    """Wait until every reader of these topics has committed all that they hold now."""
    client = _consumer(bootstrap, "nobody")
    ends: dict[str, dict[int, int]] = {}
    for topic in topics:
        ends[topic] = {place: end for place, end in _ends(client, topic).items() if end}
    client.close()
    for topic in topics:
        for service in READERS[topic]:
            eventually(
                lambda at=(service, topic): _passed(committed(bootstrap, *at), ends[at[1]]),
            )


def _passed(come_to: dict[int, int], ends: dict[int, int]) -> bool:
    return all(come_to.get(partition, 0) >= end for partition, end in ends.items())


def _consumer(bootstrap: str, group: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "log_level": 0,
        }
    )


def _ends(client: Consumer, topic: str) -> dict[int, int]:
    partitions = client.list_topics(topic, PATIENCE_S).topics[topic].partitions
    return {
        one: client.get_watermark_offsets(TopicPartition(topic, one), PATIENCE_S)[1]
        for one in partitions
    }


def _positions(client: Consumer, topic: str, ends: dict[int, int]) -> list[TopicPartition]:
    places = client.position(
        [TopicPartition(topic, partition) for partition, end in ends.items() if end]
    )
    assert all(place.error is None or place.error.code() == KafkaError.NO_ERROR for place in places)
    return places


def _raw(message: Any) -> Raw:
    headers = tuple(message.headers() or ())
    return Raw(
        message.topic(),
        message.partition(),
        message.offset(),
        message.key(),
        message.value(),
        headers,
    )
