"""Events of the fetcher on ``tributary.items.v1``: keyed items; the newest version wins."""

from __future__ import annotations

import re
from datetime import datetime
from hashlib import blake2b
from typing import Final

import msgspec

from shared.contracts.envelope import TYPE_PREFIX, Message, timestamp, timestamp_of
from shared.contracts.topics import ITEMS
from shared.contracts.vocabulary import (
    ConnectionId,
    Generation,
    ItemId,
    ItemName,
    ItemUrl,
    ItemVersion,
    OrgId,
    ParentId,
    ProviderCreatedAt,
    ProviderModifiedAt,
    ProviderSlug,
    Raw,
    RawBytes,
    ResourceSlug,
    TombstoneReason,
    Truncated,
)

PAGES_PER_CLAIM: Final = 1 << 20
EPOCHS: Final = 1 << 33
"""Lane epochs stay below this, so that versions stay below 2^53, exact in JavaScript."""
MAX_BYTES: Final = 900_000
"""Larger items travel with ``raw: null`` and their size."""
_IN_UTC: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


class Item(
    msgspec.Struct, frozen=True
):  # not kw_only: the gateway passes a row's fields by position, which is twice as fast
    """One object of a provider, complete for display."""

    id: ItemId
    resource: ResourceSlug
    connection_id: ConnectionId
    org_id: OrgId
    provider: ProviderSlug
    generation: Generation
    version: ItemVersion
    name: ItemName
    parent_id: ParentId = None
    url: ItemUrl = None
    created_at: ProviderCreatedAt = None
    modified_at: ProviderModifiedAt = None
    raw: Raw = None
    raw_bytes: RawBytes = None
    truncated: Truncated = ()


class ItemRef(msgspec.Struct, frozen=True, kw_only=True):
    """The three parts of an item's key."""

    connection_id: ConnectionId
    resource: ResourceSlug
    id: ItemId


def provider_time(value: object) -> str | None:
    """Return a provider's time as RFC 3339 in UTC, None if it is no time, or one without an offset.

    What is in UTC already stays as it is, to the last digit.
    """
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
        if at.tzinfo is None:
            return None
        if _IN_UTC.fullmatch(value):
            return value
        return timestamp_of(at)
    except (ValueError, OverflowError):  # the year 0 or 10000, in UTC
        return None


def version(lane_epoch: int, page: int) -> int:
    """Return ``lane epoch · 2^20 + page number within the claim``.

    It is monotonic per lane, and exact in JavaScript.

    Raises:
        OverflowError: the epoch or page is too high, which takes half a billion claims of a lane.
    """
    if not (0 <= lane_epoch < EPOCHS and 0 <= page < PAGES_PER_CLAIM):
        raise OverflowError(f"epoch {lane_epoch}, page {page}")
    return lane_epoch * PAGES_PER_CLAIM + page


def key(connection_id: str, resource: str, id: str) -> str:  # noqa: A002  # the field's own name
    return f"{connection_id}/{resource}/{id}"


def parse_key(raw: bytes) -> ItemRef:
    """Parse a key. An id may contain slashes.

    Raises:
        ValueError: the key does not have three parts.
    """
    connection_id, resource, id_ = raw.decode().split("/", 2)
    return ItemRef(connection_id=connection_id, resource=resource, id=id_)


def _headers(
    kind: str, ref: str, *, at: str, org_id: str, generation: int, version: int
) -> list[tuple[str, bytes]]:
    event_id = blake2b(f"{ref}@{version}".encode(), digest_size=16).hexdigest()
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", event_id.encode()),
        ("ce_type", (TYPE_PREFIX + kind).encode()),
        ("ce_source", b"fetcher"),
        ("ce_time", at.encode()),
        ("ce_subject", ref.encode()),
        ("content-type", b"application/json"),
        ("org_id", org_id.encode()),
        ("generation", str(generation).encode()),
        ("version", str(version).encode()),
    ]


def upsert(item: Item, value: bytes, *, digest: str, at: str) -> Message:
    """Return the message for ``item``, whose JSON is ``value``.

    ``digest`` tells repeats from changes; ``at`` is RFC 3339.
    """
    ref = key(item.connection_id, item.resource, item.id)
    headers = _headers(
        "Item", ref, at=at, org_id=item.org_id, generation=item.generation, version=item.version
    )
    headers.append(("digest", digest.encode()))
    return Message(topic=ITEMS, key=ref.encode(), value=value, headers=tuple(headers))


def deletion(
    ref: ItemRef,
    *,
    org_id: str,
    generation: int,
    version: int,
    reason: TombstoneReason,
    merged_into: str | None = None,
) -> Message:
    """Return the tombstone for ``ref``.

    ``merged_into`` is an item's id, and is only set with the reason ``merged``.
    """
    subject = key(ref.connection_id, ref.resource, ref.id)
    headers = _headers(
        "ItemDeleted",
        subject,
        at=timestamp(),
        org_id=org_id,
        generation=generation,
        version=version,
    )
    headers.append(("reason", reason.encode()))
    if merged_into is not None:
        headers.append(("merged_into", merged_into.encode()))
    return Message(topic=ITEMS, key=subject.encode(), value=None, headers=tuple(headers))
