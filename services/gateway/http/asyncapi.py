"""Describe the topics as AsyncAPI 3.0, generated from ``shared.contracts``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from services.gateway.http.schemas import Json, components, example, schema_of, structs
from shared.contracts import connections, items, jobs, progress, syncs, topics
from shared.contracts.envelope import TYPE_PREFIX
from shared.contracts.headers import (
    DeadLetterHeaders,
    EventHeaders,
    ItemHeaders,
    TombstoneHeaders,
)
from shared.contracts.topics import (
    BACKGROUND_JOBS,
    CONNECTIONS,
    ITEMS,
    JOBS,
    PROGRESS,
    PUBLIC,
    SYNCS,
    Topic,
)
from shared.contracts.vocabulary import ConnectionId, ItemId, ResourceSlug, SyncId
from shared.version import VERSION

ABOUT: Final = """Every item of every connected account, as one keyed stream.

Messages are CloudEvents 1.0 in Kafka's binary mode: the attributes are headers (`ce_*`), and the
value is plain JSON. They are delivered at least once, in order per key. Apply an item if its
`version` is greater than the one you have. A null value is a deletion. Within a version of a topic
fields are only ever added: ignore those you do not know.
"""
DEAD_LETTERS: Final = "dead-letters"
"""The channel of all topics of dead letters, which are alike."""
_DELETED: Final = "ItemDeleted"
_DEAD_LETTER: Final = "DeadLetter"
_OF_RECORDS: Final = {"dlq_pointer", "dlq_bytes", "org_id"}
"""Headers that a message in one piece does not have."""
KINDS: Final[Mapping[str, Mapping[str, type[msgspec.Struct] | None]]] = {
    CONNECTIONS: connections.KINDS,
    SYNCS: syncs.KINDS,
    JOBS: jobs.KINDS,
    BACKGROUND_JOBS: jobs.KINDS,
    PROGRESS: progress.KINDS,
    ITEMS: {"Item": items.Item, _DELETED: None},
}
"""Topic → kind of message → its value; None for a deletion."""
MEANINGS: Final[Mapping[str, str]] = {
    "Connected": "An account was connected; its first sync starts.",
    "Refreshed": "The account's token was refreshed.",
    "ReauthorizationNeeded": "The provider no longer accepts the connection: a person must "
    "connect the account again.",
    "Degraded": "The account's token cannot be refreshed at the moment; the current one still "
    "works.",
    "Recovered": "The account was connected again; a sync starts.",
    "Disconnected": "The account was disconnected: its tokens are deleted, and its items will be.",
    "SyncRequested": "Bring a connection up to date.",
    "RefetchItems": "Read some items again.",
    "ConfirmDeletions": "A person confirms the deletions of a part that are held.",
    "RemovePart": "A person removes the items of a part that cannot be read any more.",
    "RetrySync": "A person wants a waiting sync to be tried now.",
    "RunJob": "Claim a job and read its next pages.",
    "JobStarted": "A job has started: its first page is being requested.",
    "PageLoaded": "A page of a job was read.",
    "JobWaiting": "A job waits, for a reason and until a given time.",
    "JobFinished": "A job has finished, complete or not; it carries the receipt.",
    "JobFailed": "A job has failed: it ended without reading what was asked.",
    "Item": "An item is new or has changed.",
    _DELETED: "An item is gone; the value is null.",
    _DEAD_LETTER: "A message, or a record of a provider's page, that could not be processed.",
}
_OPEN: Final[Json] = {"receipt": None, "ended_at": None, "item_positions": {}}
_FITTING: Final[Mapping[str, Json]] = {
    "ReauthorizationNeeded": {"status": "reauth_required", "reason": "The grant was revoked."},
    "Degraded": {
        "status": "degraded",
        "reason": "Acme did not answer when the token was refreshed.",
    },
    "Disconnected": {"status": "disconnected"},
    "JobStarted": {**_OPEN, "state": "running", "pages": 0, "items": 0},
    "PageLoaded": {**_OPEN, "state": "running"},
    "JobWaiting": {
        **_OPEN,
        "state": "waiting",
        "waiting_reason": "Acme asked us to wait.",
        "waiting_code": "rate_limited",
        "waiting_until": "2026-01-31T09:30:08.000Z",
    },
    "JobFailed": {
        "state": "failed",
        "error": {
            "code": "missing_scope",
            "detail": "Acme did not grant read_content.",
            "scope": "read_content",
        },
        "receipt": None,
    },
}
"""Kind → the fields in which its example differs from the example of its shape."""
_KEYS: Final = {
    "connection_id": {"connection_id": ConnectionId},
    "sync_id": {"sync_id": SyncId},
    "lane": {"connection_id": ConnectionId, "resource": ResourceSlug},
    "connection_id/resource/id": {
        "connection_id": ConnectionId,
        "resource": ResourceSlug,
        "id": ItemId,
    },
}
"""Key → its parts, joined by slashes."""


def asyncapi_document(bootstrap: str = "localhost:9092") -> Json:
    schemas = components(structs(shape for kinds in KINDS.values() for shape in kinds.values()))
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tributary events",
            "version": VERSION,
            "description": ABOUT,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": bootstrap,
                "protocol": "kafka",
                "description": "The cluster that has all topics.",
            }
        },
        "channels": {
            **{topic.name: _channel(topic) for topic in PUBLIC},
            DEAD_LETTERS: _dead_letter_channel(),
        },
        "operations": {
            **{f"send-{topic.name}": _operation(topic) for topic in PUBLIC},
            f"send-{DEAD_LETTERS}": {
                "action": "send",
                "channel": {"$ref": f"#/channels/{DEAD_LETTERS}"},
                "summary": MEANINGS[_DEAD_LETTER],
                "messages": [{"$ref": f"#/channels/{DEAD_LETTERS}/messages/{_DEAD_LETTER}"}],
            },
        },
        "components": {
            "messages": {
                **{
                    kind: _message(topic, kind, schemas)
                    for topic in PUBLIC
                    for kind in KINDS[topic.name]
                },
                _DEAD_LETTER: _dead_letter(),
            },
            "schemas": schemas,
        },
    }


def _channel(topic: Topic) -> Json:
    return {
        "address": topic.name,
        "description": f"{topic.about} Key: {topic.key}. Written by: {topic.owner}.",
        "messages": {kind: {"$ref": f"#/components/messages/{kind}"} for kind in KINDS[topic.name]},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": {
                    name: _setting(name, value) for name, value in topic.config.items()
                },
                "bindingVersion": "0.5.0",
            }
        },
        "x-dead-letters": topics.dead_letters(topic.name),
    }


def _dead_letter_channel() -> Json:
    by_name = {topic.name: topic for topic in topics.TOPICS}
    letters = by_name[topics.dead_letters(ITEMS)]
    return {
        "address": topics.dead_letters("{topic}"),
        "description": "What could not be processed of each topic above, on the topic of the same "
        f"name with `{topics.dead_letters('')}` at its end. Key: the message's own. Written by: "
        f"{letters.owner}.",
        "parameters": {
            "topic": {
                "description": "The topic that the message was on.",
                "enum": [topic.name for topic in PUBLIC],
                "examples": [ITEMS],
            }
        },
        "messages": {_DEAD_LETTER: {"$ref": f"#/components/messages/{_DEAD_LETTER}"}},
        "bindings": {
            "kafka": {
                "partitions": letters.partitions,
                "topicConfiguration": {
                    name: _setting(name, value) for name, value in letters.config.items()
                },
                "bindingVersion": "0.5.0",
            }
        },
    }


def _dead_letter() -> Json:
    headers = _text_headers(DeadLetterHeaders)
    shown = {name: about["examples"][0] for name, about in headers["properties"].items()}
    return {
        "name": _DEAD_LETTER,
        "title": _DEAD_LETTER,
        "summary": MEANINGS[_DEAD_LETTER],
        "contentType": "application/octet-stream",
        "headers": headers,
        "payload": {
            "anyOf": [{"type": "string", "format": "binary"}, {"type": "null"}],
            "description": "The message's own value, byte for byte, or the record's JSON; only the "
            "beginning of what is too large.",
        },
        "bindings": {
            "kafka": {
                "key": {
                    "type": "string",
                    "description": "The message's own key; of a record, its lane: connection id, a "
                    "slash, and resource.",
                    "examples": ["019ac0de5b7e7d2a9f6c1e2b3a4d5c6f/pages/1f2e3d4c"],
                },
                "bindingVersion": "0.5.0",
            }
        },
        "examples": [
            {
                "name": _DEAD_LETTER,
                "headers": {name: text for name, text in shown.items() if name not in _OF_RECORDS},
                "payload": '{"name": "Launch plan"}',
            }
        ],
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
        "messages": [{"$ref": f"{channel}/messages/{kind}"} for kind in KINDS[topic.name]],
    }


def _message(topic: Topic, kind: str, schemas: Mapping[str, Json]) -> Json:
    shape = KINDS[topic.name][kind]
    payload: Json = {"type": "null"} if shape is None else schema_of(shape)
    key, headers = _key(topic), _headers(topic, kind)
    sent = {name: headers["properties"][name]["examples"][0] for name in headers["required"]}
    value = None if shape is None else example(payload, schemas) | _FITTING.get(kind, {})
    return {
        "name": TYPE_PREFIX + kind,
        "title": kind,
        "summary": MEANINGS[kind],
        "contentType": "application/json",
        "headers": headers,
        "payload": payload,
        "bindings": {"kafka": {"key": key, "bindingVersion": "0.5.0"}},
        "examples": [{"name": kind, "headers": sent, "payload": value}],
    }


def _key(topic: Topic) -> Json:
    parts = {name: schema_of(kind) for name, kind in _KEYS[topic.key].items()}
    return {
        "type": "string",
        "description": " Then a slash. ".join(str(part["description"]) for part in parts.values()),
        "examples": ["/".join(str(part["examples"][0]) for part in parts.values())],
    }


def _headers(topic: Topic, kind: str) -> Json:
    """Return the schema of a message's headers. All of them are text on the wire."""
    shape: type[EventHeaders] = EventHeaders
    if topic.name == ITEMS:
        shape = TombstoneHeaders if kind == _DELETED else ItemHeaders
    schema = _text_headers(shape)
    exact = {
        "ce_type": TYPE_PREFIX + kind,
        "ce_source": topic.owner,
        "ce_subject": _key(topic)["examples"][0],
    }
    for name, value in exact.items():
        schema["properties"][name]["examples"] = [value]
    schema["properties"]["ce_type"]["const"] = exact["ce_type"]
    return schema


def _text_headers(shape: type[msgspec.Struct]) -> Json:
    schema: Json = components({shape})[shape.__name__]
    for header in schema["properties"].values():
        _as_text(header)
    del schema["title"], schema["examples"]
    return schema


def _as_text(header: Json) -> None:
    values = [one for one in header.pop("anyOf", []) if one.get("type") != "null"]
    for value in values:
        header |= value
    header.pop("default", None)
    header |= {"type": "string", "examples": [str(one) for one in header["examples"]]}
