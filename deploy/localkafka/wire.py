"""Turn frames into requests and responses as plain mappings, whatever their version.

A request becomes a mapping from field name to value; an array of structures becomes a list of such
mappings. A response is given as a mapping, and may hold more fields than its version has. Layouts:
https://kafka.apache.org/protocol.

Besides ``shared.kafka.wire``, which has the newer layouts of Metadata, this is the only module that
uses ``aiokafka.protocol``. That is private to aiokafka, whose minor version is pinned.
"""

import struct
from collections.abc import Callable, Mapping
from enum import IntEnum
from io import BytesIO
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from aiokafka.protocol import (
    admin,
    commit,
    coordination,
    fetch,
    group,
    metadata,
    offset,
    produce,
    transaction,
)
from aiokafka.protocol.api import RequestStruct
from aiokafka.protocol.types import Array, Schema, TaggedFields

from deploy.localkafka.errors import Code, Malformed
from shared.kafka.wire import METADATA

_HEADER: Final = struct.Struct(">hhih")
_LENGTH_AND_CORRELATION: Final = struct.Struct(">ii")

Fields = Mapping[str, Any]


class Key(IntEnum):
    PRODUCE = 0
    FETCH = 1
    LIST_OFFSETS = 2
    METADATA = 3
    OFFSET_COMMIT = 8
    OFFSET_FETCH = 9
    FIND_COORDINATOR = 10
    JOIN_GROUP = 11
    HEARTBEAT = 12
    LEAVE_GROUP = 13
    SYNC_GROUP = 14
    DESCRIBE_GROUPS = 15
    LIST_GROUPS = 16
    API_VERSIONS = 18
    CREATE_TOPICS = 19
    DELETE_TOPICS = 20
    INIT_PRODUCER_ID = 22
    DESCRIBE_CONFIGS = 32


class Request(NamedTuple):
    key: Key
    version: int
    correlation_id: int
    client_id: str
    fields: Fields


_Layouts = dict[int, type[RequestStruct]]


def _layouts(
    module: Any, name: str, versions: range, like: Mapping[int, int] = MappingProxyType({})
) -> _Layouts:
    """Return the layouts of some versions.

    ``like``: versions that aiokafka does not name, because their layout is that of another version.
    """
    return {
        version: getattr(module, f"{name}Request_v{like.get(version, version)}")
        for version in versions
    }


# Everything we speak. aiokafka and librdkafka pick the highest version they share with us.
_REQUESTS: Final[dict[Key, _Layouts]] = {
    Key.PRODUCE: _layouts(produce, "Produce", range(3, 8)),
    Key.FETCH: _layouts(fetch, "Fetch", range(4, 12)),
    Key.LIST_OFFSETS: _layouts(offset, "Offset", range(1, 4)),
    Key.METADATA: {**_layouts(metadata, "Metadata", range(6)), **METADATA},
    Key.OFFSET_COMMIT: _layouts(commit, "OffsetCommit", range(2, 4)),
    Key.OFFSET_FETCH: _layouts(commit, "OffsetFetch", range(1, 4)),
    Key.FIND_COORDINATOR: _layouts(coordination, "FindCoordinator", range(2)),
    Key.JOIN_GROUP: _layouts(group, "JoinGroup", range(6), {3: 2, 4: 2}),
    Key.HEARTBEAT: _layouts(group, "Heartbeat", range(3), {2: 1}),
    Key.LEAVE_GROUP: _layouts(group, "LeaveGroup", range(3), {2: 1}),
    Key.SYNC_GROUP: _layouts(group, "SyncGroup", range(4), {2: 1}),
    Key.DESCRIBE_GROUPS: _layouts(admin, "DescribeGroups", range(3)),
    Key.LIST_GROUPS: _layouts(admin, "ListGroups", range(3)),
    Key.API_VERSIONS: _layouts(admin, "ApiVersion", range(3)),
    Key.CREATE_TOPICS: _layouts(admin, "CreateTopics", range(4)),
    Key.DELETE_TOPICS: _layouts(admin, "DeleteTopics", range(4)),
    Key.INIT_PRODUCER_ID: _layouts(transaction, "InitProducerId", range(1)),
    Key.DESCRIBE_CONFIGS: _layouts(admin, "DescribeConfigs", range(3)),
}
# Gives a field one name in every version.
_RENAMED: Final = {
    "fetch_offset": "offset",
    "consumer_group": "group",
    "coordinator_key": "group",
    "consumer_id": "member_id",
}
_API_VERSIONS: Final = {
    "api_versions": [
        {"api_key": key, "min_version": min(versions), "max_version": max(versions)}
        for key, versions in _REQUESTS.items()
    ],
    "throttle_time_ms": 0,
}


def each_partition(
    request: Fields, answer: Callable[[str, Fields], Fields]
) -> list[dict[str, Any]]:
    """Answer each partition of a request, grouped by topic as the request is."""
    topics = []
    for topic in request["topics"]:
        name = topic["topic"]
        partitions = [answer(name, part) for part in topic["partitions"]]
        topics.append({"topic": name, "partitions": partitions})
    return topics


def decoded(frame: bytes) -> Request:
    """Return the request in a frame (without its length).

    Fields of a version of ApiVersions that we do not speak are left out, as the answer does not
    depend on them.

    Raises:
        Malformed: no request, or none of ours.
    """
    try:
        key, version, correlation_id, length = _HEADER.unpack_from(frame)
        client_id = frame[_HEADER.size : _HEADER.size + max(length, 0)].decode()
        known = _REQUESTS[Key(key)]
        if version not in known and key == Key.API_VERSIONS:
            return Request(Key.API_VERSIONS, version, correlation_id, client_id, {})
        body = BytesIO(frame)
        body.seek(_HEADER.size + max(length, 0))
        layout = known[version]
        if layout.FLEXIBLE_VERSION:
            TaggedFields.decode(body)
        fields = _plain(layout.SCHEMA, [field.decode(body) for field in layout.SCHEMA.fields])
    except (ValueError, KeyError, struct.error, TypeError, MemoryError) as error:
        raise Malformed(f"{type(error).__name__}: {error}") from error
    if key == Key.METADATA and version == 0 and not fields["topics"]:
        # Version 0 asks for all topics with an empty list, which later means "none".
        fields = {"topics": None}
    return Request(Key(key), version, correlation_id, client_id, fields)


def encoded(request: Request, answer: Fields) -> bytes:
    """Return the frame, with its length, that answers the request."""
    layout = _REQUESTS[request.key][request.version]
    schema: Schema = layout.RESPONSE_TYPE.SCHEMA
    body = schema.encode(_ordered(schema, answer))
    return _framed(request, TaggedFields.encode({}) + body if layout.FLEXIBLE_VERSION else body)


def api_versions(request: Request) -> bytes:
    """Return the frame that tells a client what we speak.

    If it asked in a version that is too new, the answer has version 0 and an error, and the client
    asks again (KIP-511).
    """
    known = _REQUESTS[Key.API_VERSIONS]
    code = Code.NONE if request.version in known else Code.UNSUPPORTED_VERSION
    schema: Schema = known[request.version if request.version in known else 0].RESPONSE_TYPE.SCHEMA
    return _framed(request, schema.encode(_ordered(schema, {**_API_VERSIONS, "error_code": code})))


def _framed(request: Request, body: bytes) -> bytes:
    return _LENGTH_AND_CORRELATION.pack(len(body) + 4, request.correlation_id) + body


def _plain(kind: Any, value: Any) -> Any:
    if isinstance(kind, Schema):
        named = zip(kind.names, kind.fields, value, strict=True)
        return {_RENAMED.get(name, name): _plain(field, item) for name, field, item in named}
    if isinstance(kind, Array) and isinstance(kind.array_of, Schema) and value is not None:
        return [_plain(kind.array_of, item) for item in value]
    return value


def _ordered(kind: Any, value: Any) -> Any:
    if isinstance(kind, Schema):
        return [
            _ordered(field, _field(value, name))
            for name, field in zip(kind.names, kind.fields, strict=True)
        ]
    if isinstance(kind, Array) and isinstance(kind.array_of, Schema) and value is not None:
        return [_ordered(kind.array_of, item) for item in value]
    return value


def _field(value: Fields, name: str) -> Any:
    """Return a field of an answer.

    The tagged fields that end a structure of the newer kind (KIP-482) are always empty.
    """
    return {} if name == "tags" else value[name]
