"""A message on a topic: CloudEvents 1.0 in Kafka's binary mode (``ce_*`` headers, a JSON value)."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from shared import clock

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

T = TypeVar("T")

TYPE_PREFIX: Final = "tributary."
REPLAYED_FROM: Final = "dlq_replay"
"""The header of a message that was sent again from a dead letter; its value is the dead letter's
id."""
JSON: Final = msgspec.json.Encoder()


class Undecodable(Exception):  # "Undecodable" reads better than a name that ends in Error
    """A message that never decodes.

    ``code``: ``malformed``, ``unknown_type``, ``unsupported_version``.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


Headers = tuple[tuple[str, bytes], ...]
"""In the order of the message; a name may come twice."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message to send: raw bytes and headers. ``value`` is None for a deletion."""

    topic: str
    key: bytes
    value: bytes | None
    headers: Headers = ()


def new_id() -> str:
    """Return a UUIDv7 as 32 hex digits: unique, and sorted by the millisecond of its creation."""
    random = int.from_bytes(os.urandom(10), "big")
    value = int(clock.now() * 1000) << 80 | random
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return f"{value:032x}"


def timestamp(at: float | None = None) -> str:
    """Return RFC 3339 in UTC with milliseconds; ``at`` is in epoch seconds, by default now."""
    return timestamp_of(datetime.fromtimestamp(clock.now() if at is None else at, UTC))


def timestamp_of(moment: datetime) -> str:
    """Return the same form of a ``datetime`` that has a zone: cut to milliseconds, not rounded.

    These texts sort as the times do. Raises ``OverflowError`` for a time that is outside the years
    1 to 9999 in UTC.
    """
    # Not strftime: %Y may lack leading zeros. https://github.com/python/cpython/issues/57514
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def event(  # one parameter per CloudEvents attribute
    topic: str,
    *,
    key: str,
    kind: str,
    source: str,
    body: msgspec.Struct,
    id: str | None = None,  # noqa: A002  # CloudEvents' own name
    traceparent: str | None = None,
) -> Message:
    """Wrap ``body`` as the event ``kind`` of service ``source``.

    ``kind`` is a past tense or an imperative, without prefix.
    """
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", (id or new_id()).encode()),
        ("ce_type", (TYPE_PREFIX + kind).encode()),
        ("ce_source", source.encode()),
        ("ce_time", timestamp().encode()),
        ("ce_subject", key.encode()),
        ("content-type", b"application/json"),
    ]
    if traceparent:
        headers.append(("traceparent", traceparent.encode()))
    return Message(topic=topic, key=key.encode(), value=JSON.encode(body), headers=tuple(headers))


def header(headers: Iterable[tuple[str, bytes]], name: str) -> str | None:
    """Return the first header of that name as text, None if it is absent or not UTF-8."""
    for key, value in headers:
        if key == name:
            try:
                return value.decode()
            except UnicodeDecodeError:
                return None
    return None


def decode(
    value: bytes | None, headers: Iterable[tuple[str, bytes]], kinds: Mapping[str, type[T]]
) -> tuple[str, T]:
    """Return ``(kind, body)`` of a received event.

    Unknown fields are ignored, so a newer minor version decodes.

    Raises:
        Undecodable: for no or a foreign type, a newer major version, or a body that does not fit.
    """
    kind = (header(headers, "ce_type") or "").removeprefix(TYPE_PREFIX)
    shape = kinds.get(kind)
    if shape is None:
        base, _, version = kind.rpartition(".v")
        code = "unsupported_version" if base in kinds and version.isdigit() else "unknown_type"
        raise Undecodable(
            code, f"no message type {kind!r} is known here; known: {', '.join(sorted(kinds))}"
        )
    if value is None:
        raise Undecodable("malformed", f"{kind} came without a body")
    try:
        return kind, msgspec.json.decode(value, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Undecodable("malformed", f"{kind} does not decode: {error}") from error
