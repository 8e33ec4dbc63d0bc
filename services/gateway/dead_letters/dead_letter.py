"""A dead letter taken apart: the message that could not be processed, and what was written beside it.

The consumer appends its headers (``dlq_…``) after those of the message, so the last ones count: a message may have
headers of such names itself, because somebody invented them or because it was replayed before.

Its id says where it lies, ``topic~partition~offset``, in characters that a URL leaves as they are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec
from aiokafka import TopicPartition

from shared.contracts.envelope import header
from shared.contracts.topics import PUBLIC, dead_letters
from shared.errors import BadRequest, NotFound
from shared.kafka import LoggedRecord

REPLAYED_FROM = "dlq_replay"
Headers = tuple[tuple[str, bytes], ...]
SOURCES: Final = {dead_letters(topic.name): topic.name for topic in PUBLIC}
"""Topic of dead letters → the topic they come from."""
_ID: Final = re.compile(r"([a-z0-9.]{1,100})~(\d{1,6})~(\d{1,18})", re.ASCII)


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
