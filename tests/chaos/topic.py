"""Read the items topic as anyone may: raw records from offset 0, each partition in order."""

from __future__ import annotations

import time
from dataclasses import dataclass
from hashlib import blake2b
from types import TracebackType
from typing import Any, Self

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from shared.contracts.topics import ITEMS
from tests.support.digests import lane_digest
from tests.support.waiting import PATIENCE_S

ASK_S = 10.0
CANONICAL = msgspec.json.Encoder(order="sorted")
CONTENT = ("name", "parent_id", "created_at", "modified_at", "raw")
"""The fields a reader sees of an item; the others say when and by whom it was loaded."""


@dataclass(frozen=True)
class Record:
    """Hold a record; ``content`` is None for a deletion."""

    resource: str
    id: str
    partition: int
    offset: int
    version: int
    generation: int
    modified: str | None
    content: bytes | None
    digest: str | None = None


class Topic:
    """Hold records by connection; ``read_on`` continues where it stopped, and never forgets."""

    def __init__(self, bootstrap: str, topic: str = ITEMS) -> None:
        self.records: dict[str, list[Record]] = {}
        self._topic = topic
        options = {
            "bootstrap.servers": bootstrap,
            "group.id": "nobody",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "fetch.error.backoff.ms": 50,
            "reconnect.backoff.max.ms": 500,
            "log_level": 0,
        }
        self._consumer = Consumer(options)
        self._asker = Consumer(options)
        """A consumer for questions, which must not wait half a second behind a fetch.
        """
        self._next: dict[int, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self._consumer.close()
        self._asker.close()

    def lane_digest(self, connection: str, resource: str) -> str:
        """Return what the items that were read so far add up to."""
        newest: dict[str, Record] = {}
        for record in self.records.get(connection, []):
            known = newest.get(record.id, record)
            if record.resource == resource and known.version <= record.version:
                newest[record.id] = record
        return lane_digest({id_: one.digest for id_, one in newest.items() if one.digest})

    def read_on(self, *, within: float = PATIENCE_S) -> None:
        """Read to the present ends.

        Raises:
            AssertionError: Kafka did not answer in time, or the log has lost its beginning.
        """
        ends = self._ends(within)
        if not self._next:
            self._next = {partition: low for partition, (low, _) in ends.items()}
            self._consumer.assign(
                [TopicPartition(self._topic, number, low) for number, low in self._next.items()]
            )
        deadline = time.monotonic() + within
        while any(self._next[partition] < end for partition, (_, end) in ends.items()):
            assert time.monotonic() < deadline, (
                f"the topic was not read in {within} s: {self._next} of {ends}"
            )
            for message in self._consumer.consume(1000, timeout=0.2):
                self._take(message)
            self._skip_gaps(ends)

    def _ends(self, within: float) -> dict[int, tuple[int, int]]:
        """Return the ends of the log; ask again while a broker is away."""
        end = time.monotonic() + within
        while True:
            try:
                found = self._asker.list_topics(self._topic, ASK_S).topics.get(self._topic)
                assert found is not None, f"there is no topic {self._topic}"
                places = [TopicPartition(self._topic, number) for number in found.partitions]
                return {
                    one.partition: self._asker.get_watermark_offsets(one, ASK_S) for one in places
                }
            except KafkaException:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def _take(self, message: Message) -> None:
        error = message.error()
        if error is not None:
            # The documentation calls it so, underscore and all.
            lost = KafkaError._AUTO_OFFSET_RESET  # noqa: SLF001
            assert error.code() != lost, error
            return  # librdkafka's word that a broker is away: it connects again by itself
        record = _record(message)
        self._next[record.partition] = record.offset + 1
        connection = _bytes(message.key()).split(b"/", 1)[0].decode()
        self.records.setdefault(connection, []).append(record)

    def _skip_gaps(self, ends: dict[int, tuple[int, int]]) -> None:
        """Skip gaps that compaction left, also at the end: the client's position is past them."""
        for place in self._consumer.position(
            [TopicPartition(self._topic, number) for number in ends]
        ):
            self._next[place.partition] = max(self._next[place.partition], place.offset)


def content(fields: dict[str, Any]) -> bytes:
    """Return 16 bytes that are equal where a reader sees the same."""
    return blake2b(
        CANONICAL.encode([fields.get(name) for name in CONTENT]), digest_size=16
    ).digest()


def _record(message: Message) -> Record:
    _, resource, id_ = _bytes(message.key()).decode().split("/", 2)
    given: Any = message.headers() or []
    headers = {name: _bytes(value) for name, value in given}
    value = message.value()
    try:
        body = None if value is None else msgspec.json.decode(value)
    except msgspec.DecodeError:
        body = {"modified_at": None, "raw": "not JSON"}
    partition, offset = message.partition(), message.offset()
    assert partition is not None
    assert offset is not None
    return Record(
        resource=resource,
        id=id_,
        partition=partition,
        offset=offset,
        version=int(headers["version"]),
        generation=int(headers["generation"]),
        modified=body["modified_at"] if body else None,
        content=content(body) if body else None,
        digest=headers["digest"].decode() if "digest" in headers else None,
    )


def _bytes(value: str | bytes | None) -> bytes:
    return value.encode() if isinstance(value, str) else value or b""
