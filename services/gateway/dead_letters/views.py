"""Dead letters as operators see them."""

from __future__ import annotations

import base64
from typing import Any, Literal

import msgspec

from services.gateway.dead_letters.dead_letter import DeadLetter
from shared.contracts.envelope import timestamp

Encoding = Literal["utf-8", "base64"]


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
