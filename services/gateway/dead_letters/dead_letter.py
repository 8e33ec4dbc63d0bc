"""A dead letter taken apart: the message that could not be processed, and what was written beside it.

The consumer appends its headers (``dlq_…``) after those of the message, so the last ones count: a message may have
headers of such names itself, because somebody invented them or because it was replayed before.

Its id says where it lies, ``topic~partition~offset``, in characters that a URL leaves as they are.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec
from aiokafka import TopicPartition

from shared.contracts.envelope import header, timestamp
from shared.contracts.topics import PUBLIC, dead_letters
from shared.errors import BadRequest, NotFound
from shared.kafka import LoggedRecord

REPLAYED_FROM = "dlq_replay"
Headers = tuple[tuple[str, bytes], ...]
SOURCES: Final = {dead_letters(topic.name): topic.name for topic in PUBLIC}
"""Topic of dead letters → the topic they come from."""
_ID: Final = re.compile(r"([a-z0-9.]{1,100})~(\d{1,6})~(\d{1,18})", re.ASCII)
Encoding = Literal["utf-8", "base64"]


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
    if found is None or found[1] not in SOURCES or format_id(found[1], int(found[2]), int(found[3])) != id_:
        raise not_found()
    return TopicPartition(found[1], int(found[2])), int(found[3])


def not_found() -> NotFound:
    return NotFound("There is no such dead letter, or no longer: they are kept for 30 days.")


def source_topics(topic: str | None) -> list[str]:
    """The topics of dead letters to look into: all, or that of one topic. Raises ``BadRequest``."""
    chosen = [letters for letters, source in SOURCES.items() if topic in {None, source, letters}]
    if not chosen:
        raise BadRequest(f"There is no topic of that name. Known: {', '.join(SOURCES.values())}.", code="unknown_topic")
    return chosen


class DeadLetterSummary(msgspec.Struct, frozen=True, kw_only=True):
    """``topic``, ``partition`` and ``offset`` are where the message was.

    A record of a provider's page that could not be read was no message: it has a ``pointer`` into its page instead.
    ``bytes`` is the size of the value. ``replayed_at`` is when it was put back on its topic, null if it was not.
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
    key: str
    bytes: int
    stored_at: str
    replayable: bool
    replayed_at: str | None


class HeaderView(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    value: str
    encoding: Encoding


class DeadLetterView(DeadLetterSummary, frozen=True, kw_only=True):
    """``value`` is the message's, byte for byte: as text where it is UTF-8, else in base64; null for none."""

    headers: list[HeaderView]
    value: str | None
    encoding: Encoding | None


def summary(letter: DeadLetter, replayed_at: float | None) -> DeadLetterSummary:
    return DeadLetterSummary(**_facts(letter, replayed_at))


def view(letter: DeadLetter, replayed_at: float | None) -> DeadLetterView:
    value, encoding = (None, None) if letter.value is None else _shown(letter.value)
    headers = []
    for name, content in letter.headers:
        text, written = _shown(content)
        headers.append(HeaderView(name=name, value=text, encoding=written))
    return DeadLetterView(**_facts(letter, replayed_at), headers=headers, value=value, encoding=encoding)


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
