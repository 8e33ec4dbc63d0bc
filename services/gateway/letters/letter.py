"""A dead letter taken apart: the message that could not be processed, and what was written beside it.

The consumer appends its headers (``dlq_…``) after those of the message, so the last ones count: a message may have
headers of such names itself, because somebody invented them or because it was replayed before.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from services.gateway.letters.place import SOURCES, letter_id
from shared.contracts.envelope import header
from shared.kafka import Logged

REPLAYED_FROM = "dlq_replay"
Headers = tuple[tuple[str, bytes], ...]


class Letter(msgspec.Struct, frozen=True, kw_only=True):
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


def opened(logged: Logged) -> Letter:
    """Never raises, whatever lies there."""
    received = logged.received
    headers, origin = _split(received.headers)
    source = SOURCES[received.topic]
    ours = _text(origin, "dlq_topic") == source
    size = _number(origin, "dlq_bytes")
    return Letter(
        id=letter_id(received.topic, received.partition, received.offset),
        topic=source,
        partition=_number(origin, "dlq_partition") if ours else None,
        offset=_number(origin, "dlq_offset") if ours else None,
        pointer=_text(origin, "dlq_pointer"),
        service=_text(origin, "dlq_service") or "",
        error=_text(origin, "dlq_error") or "",
        attempts=_number(origin, "dlq_attempts") or 1,
        org_id=header(received.headers, "org"),
        key=received.key,
        value=received.value,
        size=len(received.value or b"") if size is None else size,
        whole=size is None,
        headers=headers,
        at=logged.at,
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
