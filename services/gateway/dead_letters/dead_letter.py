"""Parse a dead letter into the message that could not be processed and the facts around it.

The consumer appends its headers (``dlq_…``) after those of the message, so the last ones count: the
message may carry headers of the same names, because somebody made them up or because it was
replayed before.

A dead letter's id is its position, ``topic~partition~offset``, in characters that need no escaping
in a URL.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, cast, get_args

import msgspec
from aiokafka import TopicPartition
from msgspec import Meta

from services.gateway.http.fields import TIME, DeadLetterId, MessageTopic, ReplayedAt
from shared.contracts.envelope import Headers, header, timestamp
from shared.contracts.topics import PUBLIC, dead_letters
from shared.contracts.vocabulary import ServiceName
from shared.errors import BadRequest, NotFound, quoted
from shared.kafka import LoggedRecord

SOURCES: Final = {dead_letters(topic.name): topic.name for topic in PUBLIC}
"""Topic of dead letters → the topic that they come from."""
SERVICES: Final[tuple[str, ...]] = get_args(get_args(ServiceName)[0])
_ID: Final = re.compile(r"([a-z0-9.]{1,100})~(\d{1,6})~(\d{1,18})", re.ASCII)
Encoding = Literal["utf-8", "base64"]
_NO_MESSAGE: Final = "; null for a record of a provider's page"


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter; ``topic``, ``partition`` and ``offset`` are those of the original message.

    A record of a provider's page has no partition and offset; it has a ``pointer`` into that page
    instead. ``headers`` are those of the message. ``whole`` is false when only the beginning could
    be kept.
    """

    id: str
    topic: str
    partition: int | None
    offset: int | None
    pointer: str | None
    service: ServiceName | None
    error: str
    attempts: int
    org_id: str | None
    key: bytes
    value: bytes | None
    size: int
    whole: bool
    headers: Headers
    stored_at: float

    @property
    def replayable(self) -> bool:
        return self.whole and self.offset is not None


def parse(logged: LoggedRecord) -> DeadLetter:
    """Parse any record; never raise, whatever it holds."""
    record = logged.record
    headers, origin = _split(record.headers)
    source = SOURCES[record.topic]
    ours = _text(origin, "dlq_topic") == source
    size = _number(origin, "dlq_bytes")
    return DeadLetter(
        id=format_id(record.topic, record.partition, record.offset),
        topic=source,
        partition=_number(origin, "dlq_partition") if ours else None,
        offset=_number(origin, "dlq_offset") if ours else None,
        pointer=_text(origin, "dlq_pointer"),
        service=_service(_text(origin, "dlq_service")),
        error=_text(origin, "dlq_error") or "",
        attempts=_number(origin, "dlq_attempts") or 1,
        org_id=header(record.headers, "org_id"),
        key=record.key,
        value=record.value,
        size=len(record.value or b"") if size is None else size,
        whole=size is None,
        headers=headers,
        stored_at=logged.appended_at,
    )


def _split(headers: Headers) -> tuple[Headers, Headers]:
    """Return a message's headers and those added to them; a record of a page has only those."""
    begins = [at for at, (name, _) in enumerate(headers) if name == "dlq_topic"]
    return (headers[: begins[-1]], headers[begins[-1] :]) if begins else ((), headers)


def _service(name: str | None) -> ServiceName | None:
    return cast("ServiceName", name) if name in SERVICES else None


def _text(headers: Sequence[tuple[str, bytes]], name: str) -> str | None:
    return header(headers, name)


def _number(headers: Sequence[tuple[str, bytes]], name: str) -> int | None:
    text = _text(headers, name) or ""
    # isdecimal() accepts the digits of every script; 18 digits fit into 64 bits.
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 19 else None


def format_id(topic: str, partition: int, offset: int) -> str:
    return f"{topic}~{partition}~{offset}"


def parse_id(id_: str) -> tuple[TopicPartition, int]:
    """Return the partition and offset of an id.

    Raise ``NotFound`` if it is not an id of ours.
    """
    found = _ID.fullmatch(id_)
    if (
        found is None
        or found[1] not in SOURCES
        # ~07 and ~7 would be two ids of one dead letter, and it could be replayed twice.
        or format_id(found[1], int(found[2]), int(found[3])) != id_
    ):
        raise not_found()
    return TopicPartition(found[1], int(found[2])), int(found[3])


def not_found() -> NotFound:
    return NotFound("There is no such dead letter. They are kept for 30 days.")


def source_topics(topic: str | None) -> list[str]:
    """Return the topics of dead letters to read: all, or that of one topic.

    Raise ``BadRequest``.
    """
    chosen = [letters for letters, source in SOURCES.items() if topic in {None, source, letters}]
    if not chosen:
        raise BadRequest(
            f"{quoted(topic or '')} is not a topic with dead letters. "
            f"Known: {', '.join(SOURCES.values())}.",
            code="unknown_topic",
            field="topic",
        )
    return chosen


def check_service(service: str | None) -> None:
    """Raise ``BadRequest`` for a service that is not one of ours."""
    if service is not None and service not in SERVICES:
        raise BadRequest(
            f"{quoted(service)} is not a service. Known: {', '.join(SERVICES)}.", field="service"
        )


class DeadLetterSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A message, or a record of a provider's page, that could not be processed."""

    id: DeadLetterId
    topic: MessageTopic
    partition: Annotated[
        int | None, Meta(description="The message's partition" + _NO_MESSAGE + ".", examples=[3])
    ]
    offset: Annotated[
        int | None, Meta(description="The message's offset" + _NO_MESSAGE + ".", examples=[1841])
    ]
    pointer: Annotated[
        str | None,
        Meta(
            description="The position of the record in its page (RFC 6901); null for a message.",
            examples=["/results/17"],
            extra_json_schema={"format": "json-pointer"},
        ),
    ]
    service: Annotated[
        ServiceName | None,
        Meta(description="The service that could not process it; null if it is not one of ours."),
    ]
    error: Annotated[
        str,
        Meta(
            description="What was wrong.",
            examples=["Item does not decode: Object missing required field `id`"],
        ),
    ]
    attempts: Annotated[int, Meta(description="The number of attempts.", examples=[1])]
    org_id: Annotated[
        str | None,
        Meta(
            description="The organisation that it belongs to; null if none is known.",
            examples=["acme"],
        ),
    ]
    key: Annotated[
        str,
        Meta(
            description="The message's key.",
            examples=["019ac0de5b7e7d2a9f6c1e2b3a4d5c6f/pages/1f2e3d4c"],
        ),
    ]
    bytes: Annotated[int, Meta(description="The size of the value in bytes.", examples=[612])]
    stored_at: Annotated[
        str,
        Meta(
            description="When it was set aside.",
            examples=["2026-01-31T09:30:06.000Z"],
            extra_json_schema=TIME,
        ),
    ]
    replayable: Annotated[bool, Meta(description="Whether it can be replayed.", examples=[True])]
    replayed_at: Annotated[
        ReplayedAt | None,
        Meta(description="When it was replayed; null if it was not."),
    ]


class HeaderView(msgspec.Struct, frozen=True, kw_only=True):
    """A header of a message."""

    name: Annotated[str, Meta(description="The header's name.", examples=["ce_type"])]
    value: Annotated[
        str,
        Meta(
            description="The header's value, in the given `encoding`.", examples=["tributary.Item"]
        ),
    ]
    encoding: Annotated[
        Encoding,
        Meta(description="`utf-8` if the bytes are text, else `base64`.", examples=["utf-8"]),
    ]


class DeadLetterView(DeadLetterSummary, frozen=True, kw_only=True):
    """A dead letter with its headers and value."""

    headers: Annotated[list[HeaderView], Meta(description="The message's headers, in their order.")]
    value: Annotated[
        str | None,
        Meta(
            description="The message's value, in the given `encoding`; null if it has none.",
            examples=['{"id": 7}'],
        ),
    ]
    encoding: Annotated[
        Encoding | None,
        Meta(
            description="`utf-8` if the value's bytes are text, else `base64`; null if it has "
            "none.",
            examples=["utf-8"],
        ),
    ]


def summary(letter: DeadLetter, replayed_at: float | None) -> DeadLetterSummary:
    return DeadLetterSummary(**_facts(letter, replayed_at))


def view(letter: DeadLetter, replayed_at: float | None) -> DeadLetterView:
    value, encoding = (None, None) if letter.value is None else _shown(letter.value)
    headers = []
    for name, content in letter.headers:
        text, written = _shown(content)
        headers.append(HeaderView(name=name, value=text, encoding=written))
    return DeadLetterView(
        **_facts(letter, replayed_at), headers=headers, value=value, encoding=encoding
    )


def _facts(letter: DeadLetter, replayed_at: float | None) -> dict[str, Any]:
    return {
        "id": letter.id,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "pointer": letter.pointer,
        "service": letter.service,
        "error": letter.error,
        "attempts": letter.attempts,
        "org_id": letter.org_id,
        "key": letter.key.decode(errors="backslashreplace"),
        "bytes": letter.size,
        "stored_at": timestamp(letter.stored_at),
        "replayable": letter.replayable,
        "replayed_at": None if replayed_at is None else timestamp(replayed_at),
    }


def _shown(content: bytes) -> tuple[str, Encoding]:
    try:
        return content.decode(), "utf-8"
    except UnicodeDecodeError:
        return base64.b64encode(content).decode(), "base64"
