"""Read messages of the items topic as consumers do: keep the greatest version of each item."""

from __future__ import annotations

from collections.abc import Iterable

from shared.contracts.envelope import Message
from shared.contracts.items import parse_key


def version_of(message: Message) -> int:
    return int(dict(message.headers)["version"])


def newest(messages: Iterable[Message]) -> dict[tuple[str, str], Message]:
    """Return (resource, id) → its message with the greatest version, deletions included."""
    found: dict[tuple[str, str], Message] = {}
    for message in messages:
        ref = parse_key(message.key)
        before = found.get((ref.resource, ref.id))
        if before is None or version_of(before) < version_of(message):
            found[ref.resource, ref.id] = message
    return found
