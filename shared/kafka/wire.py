"""Speak versions 6 to 12 of Kafka's Metadata request, which aiokafka does not.

From version 10 on it tells topic ids (KIP-516). Layouts:
https://kafka.apache.org/protocol#The_Messages_Metadata.

Besides the local broker's ``wire``, this is the only module that uses ``aiokafka.protocol``. That
package is private to aiokafka, whose minor version is pinned for this reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, Final
from uuid import UUID

from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Array,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    String,
    TaggedFields,
)
from typing_extensions import override

API_KEY: Final = 3
FLEXIBLE_SINCE: Final = 9
"""The first version in which strings and lists are compact, and every structure ends in tagged
fields (KIP-482)."""
IDS_SINCE: Final = 10
NEWEST: Final = 12
NO_ID: Final = UUID(int=0)


class Uuid(AbstractType[UUID]):
    """Sixteen bytes; ``NO_ID`` stands for no id."""

    @override
    @classmethod
    def encode(cls, value: UUID) -> bytes:
        return value.bytes

    @override
    @classmethod
    def decode(cls, data: BytesIO) -> UUID:
        return UUID(bytes=data.read(16))


def _request_schema(version: int) -> Schema:
    text, array, end = _kinds(version)
    topics = array(text)
    if version >= FLEXIBLE_SINCE:
        topics = array(
            *([("topic_id", Uuid)] if version >= IDS_SINCE else []), ("topic", text), *end
        )
    fields: list[tuple[str, Any]] = [("topics", topics), ("allow_auto_topic_creation", Boolean)]
    if 8 <= version <= 10:
        fields.append(("include_cluster_authorized_operations", Boolean))
    if version >= 8:
        fields.append(("include_topic_authorized_operations", Boolean))
    return Schema(*fields, *end)


def _response_schema(version: int) -> Schema:
    text, array, end = _kinds(version)
    partition: list[tuple[str, Any]] = [
        ("error_code", Int16),
        ("partition", Int32),
        ("leader", Int32),
    ]
    if version >= 7:
        partition.append(("leader_epoch", Int32))
    partition += [(name, array(Int32)) for name in ("replicas", "isr", "offline_replicas")]
    topic: list[tuple[str, Any]] = [("error_code", Int16), ("topic", text)]
    if version >= IDS_SINCE:
        topic.append(("topic_id", Uuid))
    topic += [("is_internal", Boolean), ("partitions", array(*partition, *end))]
    if version >= 8:
        topic.append(("topic_authorized_operations", Int32))
    fields: list[tuple[str, Any]] = [
        ("throttle_time_ms", Int32),
        (
            "brokers",
            array(("node_id", Int32), ("host", text), ("port", Int32), ("rack", text), *end),
        ),
        ("cluster_id", text),
        ("controller_id", Int32),
        ("topics", array(*topic, *end)),
    ]
    if 8 <= version <= 10:
        fields.append(("cluster_authorized_operations", Int32))
    return Schema(*fields, *end)


def _kinds(version: int) -> tuple[String, type[Array], Sequence[tuple[str, Any]]]:
    """Return how a version writes strings and lists, and what ends each structure."""
    if version >= FLEXIBLE_SINCE:
        return CompactString("utf-8"), CompactArray, [("tags", TaggedFields)]
    return String("utf-8"), Array, []


def _layout(version: int) -> type[RequestStruct]:
    same = {"API_KEY": API_KEY, "API_VERSION": version}
    answer = type(
        f"MetadataResponse_v{version}", (Response,), {**same, "SCHEMA": _response_schema(version)}
    )
    flexible = version >= FLEXIBLE_SINCE
    own = {
        "SCHEMA": _request_schema(version),
        "RESPONSE_TYPE": answer,
        "FLEXIBLE_VERSION": flexible,
    }
    return type(f"MetadataRequest_v{version}", (RequestStruct,), {**same, **own})


METADATA: Final[Mapping[int, type[RequestStruct]]] = {
    version: _layout(version) for version in range(6, NEWEST + 1)
}


class TopicIds(Request[RequestStruct]):
    """Ask for the ids of topics by their names."""

    API_KEY = API_KEY

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = topics

    @override
    def prepare(self, versions: dict[int, tuple[int, int]]) -> RequestStruct:
        """Choose the newest version that both sides speak.

        Raises:
            IncompatibleBrokerVersion: this Kafka knows no topic ids.
        """
        newest = min(versions.get(API_KEY, (0, 0))[1], NEWEST)
        if newest < IDS_SINCE:
            raise IncompatibleBrokerVersion("Kafka tells topic ids only from version 2.8 on")
        return self.build(METADATA[newest])

    @override
    def build(self, request_struct_class: type[RequestStruct]) -> RequestStruct:
        no_tags: dict[int, bytes] = {}
        flags = [False] * (len(request_struct_class.SCHEMA.names) - 2)
        return request_struct_class(
            [(NO_ID, name, no_tags) for name in self._topics], *flags, no_tags
        )
