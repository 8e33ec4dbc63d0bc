"""The topics as AsyncAPI 3.0, out of ``shared.contracts``: what a consumer may rely on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from shared.contracts import connections, items, jobs, progress, syncs, topics
from shared.contracts.envelope import TYPE_PREFIX
from shared.contracts.topics import BACKGROUND_JOBS, CONNECTIONS, ITEMS, JOBS, PROGRESS, PUBLIC, SYNCS, Topic

Json = dict[str, Any]
ABOUT: Final = """Every item of every connected account, as one keyed stream.

Messages are CloudEvents 1.0 in Kafka's binary mode: attributes in headers (`ce_*`), the value is plain JSON. They are
delivered at least once, in order per key. Apply an item if its `version` is greater than the one you have; a null value
is a deletion. Within a version of a topic fields are only ever added: ignore those you do not know.
"""
KINDS: Final[Mapping[str, Mapping[str, type[msgspec.Struct]]]] = {
    CONNECTIONS: connections.KINDS,
    SYNCS: syncs.KINDS,
    JOBS: jobs.KINDS,
    BACKGROUND_JOBS: jobs.KINDS,
    PROGRESS: progress.KINDS,
    ITEMS: {"Item": items.Item},
}
_DELETED: Final = "ItemDeleted"
_HEADERS: Final = {
    "ce_specversion": "Always 1.0.",
    "ce_id": "Of the event. The same id is the same event, delivered again.",
    "ce_type": "What happened.",
    "ce_source": "The service that says so.",
    "ce_time": "RFC 3339.",
    "ce_subject": "The message's key.",
    "content-type": "Always application/json.",
}
_ITEM_HEADERS: Final = {
    "org_id": "The organisation that the item belongs to.",
    "generation": "Rises when the account is connected again after a disconnect.",
    "version": "Apply a message if its version is greater than the one you have.",
}
_MORE: Final = {
    "Item": {"digest": "Of the content: the same digest is the same content."},
    _DELETED: {
        "reason": "Why it is gone: one of a closed list.",
        "merged_into": "With the reason `merged` only: the id of the item it was merged into.",
    },
}
_OPTIONAL: Final = frozenset({"content-type", "merged_into"})


def asyncapi_document(bootstrap: str = "localhost:9092") -> Json:
    _, schemas = msgspec.json.schema_components(
        sorted({shape for kinds in KINDS.values() for shape in kinds.values()}, key=lambda shape: shape.__name__),
        ref_template="#/components/schemas/{name}",
    )
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tributary events",
            "version": "1",
            "description": ABOUT,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"kafka": {"host": bootstrap, "protocol": "kafka"}},
        "channels": {topic.name: _channel(topic) for topic in PUBLIC},
        "operations": {f"send-{topic.name}": _operation(topic) for topic in PUBLIC},
        "components": {
            "messages": {kind: _message(topic, kind) for topic in PUBLIC for kind in _kinds(topic)},
            "schemas": dict(schemas),
        },
    }


def _kinds(topic: Topic) -> Iterable[str]:
    return (*KINDS[topic.name], _DELETED) if topic.name == ITEMS else KINDS[topic.name]


def _channel(topic: Topic) -> Json:
    return {
        "address": topic.name,
        "description": f"{topic.about} Key: {topic.key}. Written by: {topic.owner}.",
        "messages": {kind: {"$ref": f"#/components/messages/{kind}"} for kind in _kinds(topic)},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": {name: _setting(name, value) for name, value in topic.config.items()},
                "bindingVersion": "0.5.0",
            }
        },
        "x-dead-letters": topics.dead_letters(topic.name),
    }


def _setting(name: str, value: str) -> Any:
    if name == "cleanup.policy":
        return [value]
    return int(value) if value.isdigit() else value


def _operation(topic: Topic) -> Json:
    channel = f"#/channels/{topic.name.replace('/', '~1')}"
    return {
        "action": "send",
        "channel": {"$ref": channel},
        "summary": topic.about,
        "messages": [{"$ref": f"{channel}/messages/{kind}"} for kind in _kinds(topic)],
    }


def _message(topic: Topic, kind: str) -> Json:
    known = _HEADERS | (_ITEM_HEADERS if topic.name == ITEMS else {}) | _MORE.get(kind, {})
    headers: Json = {name: {"type": "string", "description": about} for name, about in known.items()}
    headers["ce_type"]["const"] = TYPE_PREFIX + kind
    shape = KINDS[topic.name].get(kind)
    payload: Json = {"type": "null"} if shape is None else {"$ref": f"#/components/schemas/{shape.__name__}"}
    return {
        "name": TYPE_PREFIX + kind,
        "title": kind,
        "contentType": "application/json",
        "headers": {
            "type": "object",
            "properties": headers,
            "required": sorted(set(known) - _OPTIONAL),
        },
        "payload": payload,
        "bindings": {"kafka": {"key": {"type": "string", "description": topic.key}, "bindingVersion": "0.5.0"}},
    }
