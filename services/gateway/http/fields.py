"""Parameters and fields that only REST has; those shared with Kafka are in ``vocabulary``."""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import Meta

from shared.contracts.topics import PUBLIC

TIME: Final[dict[str, Any]] = {"format": "date-time"}
URL: Final[dict[str, Any]] = {"format": "uri"}
PLAIN: Final[dict[str, Any]] = {"pattern": r"^[^\x00]*$"}
"""No NUL character: no name has one, and PostgreSQL rejects it."""
NAMED: Final[dict[str, Any]] = {"pattern": r"^[^\x00]*[^\s\x00][^\x00]*$"}
"""The same, and not blank."""

# The providers differ between installations: each contract lists its own values and examples.
KnownProvider = Annotated[
    str,
    Meta(
        description="A provider's id from `GET /v1/providers`.",
        extra_json_schema={"x-known": "providers"},
    ),
]
KnownResource = Annotated[
    str,
    Meta(
        description="A resource's name from `GET /v1/providers`.",
        extra_json_schema={"x-known": "resources"},
    ),
]
FlowId = Annotated[
    str,
    Meta(
        description="A pending consent's id from `POST /v1/connect`.",
        examples=["019ac0de5a1b7c2d93e4f5a6b7c8d9e0"],
    ),
]
KeyPrefix = Annotated[
    str,
    Meta(
        description="The public part of a key, which identifies it in lists and logs.",
        examples=["Agbj6P8TTwFR"],
    ),
]
DeadLetterId = Annotated[
    str,
    Meta(
        description="The dead letter's id: its topic, partition and offset.",
        examples=["tributary.items.v1.dlq~0~17"],
    ),
]
MessageTopic = Annotated[
    str,
    Meta(
        description="The message's topic.",
        examples=["tributary.items.v1"],
        extra_json_schema={"enum": [topic.name for topic in PUBLIC]},
    ),
]
MessagePartition = Annotated[int, Meta(description="The partition of that topic.", examples=[3])]
MessageOffset = Annotated[int, Meta(description="The offset in that partition.", examples=[1841])]
ReplayedAt = Annotated[
    str,
    Meta(
        description="When it was replayed.",
        examples=["2026-01-31T10:00:00.000Z"],
        extra_json_schema=TIME,
    ),
]
PageSize = Annotated[int, Meta(description="The most entries to return.", examples=[50])]
PageToken = Annotated[
    str,
    Meta(
        description="The `next_page_token` of the page before, sent with the same filters.",
        examples=["WyIwMTlhYzBkZTViN2UiXQ.6Zt3xk"],
        extra_json_schema=PLAIN,
    ),
]
NextPageToken = Annotated[
    str | None,
    Meta(
        description="The `page_token` of the next page; null on the last one.",
        examples=["WyIwMTlhYzBkZTViN2UiXQ.6Zt3xk"],
    ),
]
OfOrg = Annotated[
    str, Meta(description="Only this organisation.", examples=["acme"], extra_json_schema=PLAIN)
]
OfUser = Annotated[
    str, Meta(description="Only this person.", examples=["user-42"], extra_json_schema=PLAIN)
]
OfConnection = Annotated[
    str,
    Meta(
        description="Only this connection.",
        examples=["019ac0de5b7e7d2a9f6c1e2b3a4d5c6f"],
        extra_json_schema=PLAIN,
    ),
]
