"""What the fetcher publishes on ``tributary.items.v1``: unified records, keyed, newest version wins."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import msgspec

from shared.contracts.envelope import TYPE_PREFIX, Message, timestamp
from shared.contracts.topics import ITEMS

PAGES_PER_CLAIM = 1 << 20
MAX_BYTES = 900_000
"""Larger items travel with ``raw: null`` and their size."""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One record of a provider, complete for display.

    ``version`` orders upserts and deletions of an id: apply a record if its version is greater. ``created`` and
    ``modified`` are the provider's own times (RFC 3339) or None where it has none.
    """

    id: str
    resource: str
    connection: str
    org: str
    provider: str
    generation: int
    version: int
    name: str
    parent_id: str | None = None
    url: str | None = None
    created: str | None = None
    modified: str | None = None
    raw: dict[str, Any] | None = None
    raw_bytes: int | None = None


class ItemRef(msgspec.Struct, frozen=True, kw_only=True):
    """Whose item: the three parts of the key."""

    connection: str
    resource: str
    id: str


def version(lane_epoch: int, page: int) -> int:
    """``lane epoch · 2^20 + page number within the claim``: monotonic per lane and exact in JavaScript."""
    return lane_epoch * PAGES_PER_CLAIM + page


def key(connection: str, resource: str, id: str) -> str:  # noqa: A002  # the field's own name
    return f"{connection}/{resource}/{id}"


def parse_key(raw: bytes) -> ItemRef:
    """Take a key apart; an id may itself hold slashes.

    Raises:
        ValueError: the key has not three parts.
    """
    connection, resource, id_ = raw.decode().split("/", 2)
    return ItemRef(connection=connection, resource=resource, id=id_)


def _headers(kind: str, ref: str, *, at: str, org: str, generation: int, version: int) -> list[tuple[str, bytes]]:
    digest = blake2b(f"{ref}@{version}".encode(), digest_size=16).hexdigest()
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", digest.encode()),
        ("ce_type", (TYPE_PREFIX + kind).encode()),
        ("ce_source", b"fetcher"),
        ("ce_time", at.encode()),
        ("ce_subject", ref.encode()),
        ("content-type", b"application/json"),
        ("org", org.encode()),
        ("generation", str(generation).encode()),
        ("version", str(version).encode()),
    ]


def upsert(item: Item, value: bytes, *, digest: str, at: str) -> Message:
    """The message for ``item``, whose JSON is ``value``; ``digest`` tells repeats from changes, ``at`` is RFC 3339."""
    ref = key(item.connection, item.resource, item.id)
    headers = _headers("Item", ref, at=at, org=item.org, generation=item.generation, version=item.version)
    headers.append(("digest", digest.encode()))
    return Message(topic=ITEMS, key=ref.encode(), value=value, headers=tuple(headers))


def deletion(ref: ItemRef, *, org: str, generation: int, version: int, reason: str) -> Message:
    """The tombstone for ``ref``; ``reason`` is ``gone`` (no longer at the provider) or ``disconnected``."""
    subject = key(ref.connection, ref.resource, ref.id)
    headers = _headers("ItemDeleted", subject, at=timestamp(), org=org, generation=generation, version=version)
    headers.append(("reason", reason.encode()))
    return Message(topic=ITEMS, key=subject.encode(), value=None, headers=tuple(headers))
