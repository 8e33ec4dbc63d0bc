"""A dead letter taken apart: the message that could not be processed, and what was written beside it.

The consumer appends its headers (``dlq_…``) after those of the message, so the last ones count: a message may have
headers of such names itself, because somebody invented them or because it was replayed before.

Its id says where it lies, ``topic~partition~offset``, in characters that a URL leaves as they are.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from aiokafka import TopicPartition
from msgspec import Meta

from services.gateway.http.fields import TIME, DeadLetterId, MessageTopic, ReplayedAt
from shared.contracts.envelope import header, timestamp
from shared.contracts.topics import PUBLIC, dead_letters
from shared.errors import BadRequest, NotFound
from shared.kafka import LoggedRecord

REPLAYED_FROM: Final = "dlq_replay"
Headers = tuple[tuple[str, bytes], ...]
SOURCES: Final = {dead_letters(topic.name): topic.name for topic in PUBLIC}
"""Topic of dead letters → the topic they come from."""
_ID: Final = re.compile(r"([a-z0-9.]{1,100})~(\d{1,6})~(\d{1,18})", re.ASCII)
Encoding = Literal["utf-8", "base64"]
_NO_MESSAGE: Final = "; null for a record of a provider's page"


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """``topic``, ``partition`` and ``offset`` are where it came from.

    What was no message but a record of a provider's page has no partition and offset; it has a ``pointer`` into that
    page instead. ``headers`` are the message's own. ``whole`` is false when there was room for its beginning only.
    """

    id: str
    topic: str
    partition: int | None
    offset: int | None
    pointer: str | None
    service: str
    error: str
    attempts: int
    org_id: str | None
    key: bytes
    value: bytes | None
    size: int
    whole: bool
    headers: Headers
    at: float

    @property
    def replayable(self) -> bool:
        return self.whole and self.offset is not None


def parse(logged: LoggedRecord) -> DeadLetter:
    """Never raises, whatever lies there."""
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
        service=_text(origin, "dlq_service") or "",
        error=_text(origin, "dlq_error") or "",
        attempts=_number(origin, "dlq_attempts") or 1,
        org_id=header(record.headers, "org_id"),
        key=record.key,
        value=record.value,
        size=len(record.value or b"") if size is None else size,
        whole=size is None,
        headers=headers,
        at=logged.appended_at,
    )


def _split(headers: Headers) -> tuple[Headers, Headers]:
    """The message's headers, and those that were written beside it; of a record all are of the latter kind."""
    begins = [at for at, (name, _) in enumerate(headers) if name == "dlq_topic"]
    return (headers[: begins[-1]], headers[begins[-1] :]) if begins else ((), headers)


def _text(headers: Sequence[tuple[str, bytes]], name: str) -> str | None:
    return header(headers, name)


def _number(headers: Sequence[tuple[str, bytes]], name: str) -> int | None:
    text = _text(headers, name) or ""
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 19 else None


def format_id(topic: str, partition: int, offset: int) -> str:
    return f"{topic}~{partition}~{offset}"


def parse_id(id_: str) -> tuple[TopicPartition, int]:
    """Partition and offset. Raises ``NotFound`` for what never named one."""
    found = _ID.fullmatch(id_)
    if (
        found is None
        or found[1] not in SOURCES
        or format_id(found[1], int(found[2]), int(found[3])) != id_
    ):
        raise not_found()
    return TopicPartition(found[1], int(found[2])), int(found[3])


def not_found() -> NotFound:
    return NotFound("There is no such dead letter, or no longer: they are kept for 30 days.")


def source_topics(topic: str | None) -> list[str]:
    """The topics of dead letters to look into: all, or that of one topic. Raises ``BadRequest``."""
    chosen = [letters for letters, source in SOURCES.items() if topic in {None, source, letters}]
    if not chosen:
        raise BadRequest(
            f"There is no topic of that name. Known: {', '.join(SOURCES.values())}.",
            code="unknown_topic",
        )
    return chosen


class DeadLetterSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A message, or a record of a provider's page, that could not be processed."""

    id: DeadLetterId
    topic: MessageTopic
    partition: Annotated[
        int | None, Meta(description="Its partition there" + _NO_MESSAGE + ".", examples=[3])
    ]
    offset: Annotated[
        int | None, Meta(description="Its offset there" + _NO_MESSAGE + ".", examples=[1841])
    ]
    pointer: Annotated[
        str | None,
        Meta(
            description="Where in its page the record is (RFC 6901); null for a message.",
            examples=["/results/17"],
            extra_json_schema={"format": "json-pointer"},
        ),
    ]
    service: Annotated[
        str, Meta(description="The service that could not process it.", examples=["gateway"])
    ]
    error: Annotated[
        str,
        Meta(
            description="What was wrong.",
            examples=["Item does not decode: Object missing required field `id`"],
        ),
    ]
    attempts: Annotated[int, Meta(description="How often it was tried.", examples=[1])]
    org_id: Annotated[
        str | None,
        Meta(
            description="The organisation that it belongs to; null where none is known.",
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
    replayable: Annotated[
        bool, Meta(description="Whether it can be put back on its topic.", examples=[True])
    ]
    replayed_at: Annotated[
        ReplayedAt | None,
        Meta(description="When it was put back on its topic; null if it was not."),
    ]


class HeaderView(msgspec.Struct, frozen=True, kw_only=True):
    """A header of a message."""

    name: Annotated[str, Meta(description="The header's name.", examples=["ce_type"])]
    value: Annotated[
        str, Meta(description="Its value, written as `encoding` says.", examples=["tributary.Item"])
    ]
    encoding: Annotated[
        Encoding,
        Meta(description="`utf-8` where the bytes are text, else `base64`.", examples=["utf-8"]),
    ]


class DeadLetterView(DeadLetterSummary, frozen=True, kw_only=True):
    """A dead letter with everything in it."""

    headers: Annotated[list[HeaderView], Meta(description="The message's headers, in their order.")]
    value: Annotated[
        str | None,
        Meta(
            description="The message's value, written as `encoding` says; null for none.",
            examples=['{"id": 7}'],
        ),
    ]
    encoding: Annotated[
        Encoding | None,
        Meta(
            description="`utf-8` where the value's bytes are text, else `base64`; null for no value.",
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
        "stored_at": timestamp(letter.at),
        "replayable": letter.replayable,
        "replayed_at": None if replayed_at is None else timestamp(replayed_at),
    }


def _shown(content: bytes) -> tuple[str, Encoding]:
    try:
        return content.decode(), "utf-8"
    except UnicodeDecodeError:
        return base64.b64encode(content).decode(), "base64"
