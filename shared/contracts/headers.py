"""The headers of the messages on all topics, each described once.

Every value is UTF-8 text on the wire, numbers too. A message may also carry ``traceparent``.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from shared.contracts.vocabulary import (
    Generation,
    ItemId,
    ItemVersion,
    OrgId,
    ServiceName,
    TombstoneReason,
)


class EventHeaders(msgspec.Struct, frozen=True, kw_only=True):
    """The attributes of a CloudEvent in Kafka's binary mode."""

    ce_specversion: Annotated[
        str, Meta(description="The version of CloudEvents: always 1.0.", examples=["1.0"])
    ]
    ce_id: Annotated[
        str,
        Meta(
            description="The event's id. The same id is the same event, delivered again.",
            examples=["019ac0de6f1072c3b1d0a4e5f6071829"],
        ),
    ]
    ce_type: Annotated[
        str, Meta(description="What happened, or what is requested.", examples=["tributary.Item"])
    ]
    ce_source: Annotated[str, Meta(description="The service that sent it.", examples=["fetcher"])]
    ce_time: Annotated[
        str,
        Meta(
            description="When the event was created.",
            examples=["2026-01-31T09:30:05.250Z"],
            extra_json_schema={"format": "date-time"},
        ),
    ]
    ce_subject: Annotated[
        str,
        Meta(description="The message's key.", examples=["019ac0de5b7e7d2a9f6c1e2b3a4d5c6f"]),
    ]
    content_type: Annotated[
        str,
        Meta(
            description="The media type of the value: always JSON.", examples=["application/json"]
        ),
    ] = msgspec.field(name="content-type")
    traceparent: Annotated[
        str | None,
        Meta(
            description="The W3C trace that the event belongs to, if known.",
            examples=["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
        ),
    ] = None
    dlq_replay: Annotated[
        str | None,
        Meta(
            description="The id of the dead letter that this message repeats; absent unless it is "
            "a replay.",
            examples=["tributary.items.v1.dlq~0~17"],
        ),
    ] = None


class ItemHeaders(EventHeaders, frozen=True, kw_only=True):
    """The facts of an item that are known without reading its value."""

    org_id: OrgId
    generation: Generation
    version: ItemVersion
    digest: Annotated[
        str,
        Meta(
            description="Digest of the content, in hex: the same digest is the same content, "
            "whatever the version.",
            examples=["5f1c8a7e9d2b4c6080a1b2c3d4e5f607"],
        ),
    ]


class TombstoneHeaders(EventHeaders, frozen=True, kw_only=True):
    """The headers of a deletion, which has no value."""

    org_id: OrgId
    generation: Generation
    version: ItemVersion
    reason: TombstoneReason
    merged_into: Annotated[
        ItemId | None,
        Meta(
            description="The id of the item that this one was merged into; only with the reason "
            "`merged`."
        ),
    ] = None


class DeadLetterHeaders(msgspec.Struct, frozen=True, kw_only=True):
    """The headers that a dead letter has behind those of the original message.

    A record of a provider's page was no message: it has ``dlq_pointer`` instead of a topic, a
    partition and an offset.
    """

    dlq_topic: Annotated[
        str | None,
        Meta(
            description="The topic of the message; absent for a record of a provider's page.",
            examples=["tributary.items.v1"],
        ),
    ] = None
    dlq_partition: Annotated[
        int | None,
        Meta(
            description="The partition of the message; absent for a record of a provider's page.",
            examples=[3],
        ),
    ] = None
    dlq_offset: Annotated[
        int | None,
        Meta(
            description="The offset of the message; absent for a record of a provider's page.",
            examples=[1841],
        ),
    ] = None
    dlq_service: Annotated[ServiceName, Meta(description="The service that could not process it.")]
    dlq_error: Annotated[
        str,
        Meta(
            description="What was wrong: a code or the error's name, a colon, and a sentence; at "
            "most 1,000 characters.",
            examples=["malformed: Item does not decode: Object missing required field `id`"],
        ),
    ]
    dlq_attempts: Annotated[
        int | None,
        Meta(
            description="The number of attempts; absent for a record of a provider's page.",
            examples=[1],
        ),
    ] = None
    dlq_pointer: Annotated[
        str | None,
        Meta(
            description="The position of a record in its provider's page (RFC 6901); absent for a "
            "message.",
            examples=["/results/17"],
        ),
    ] = None
    dlq_bytes: Annotated[
        int | None,
        Meta(
            description="The size of the whole value in bytes. Absent if the message is here "
            "whole: only then can it be replayed.",
            examples=[1300000],
        ),
    ] = None
    org_id: Annotated[
        OrgId | None,
        Meta(description="The organisation of a record; a message has its own headers instead."),
    ] = None
