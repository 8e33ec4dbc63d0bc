"""Fold the topics into the read model: connections, requests for a sync, and items in batches."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.connections import queries as connections
from services.gateway.items import queries as items
from services.gateway.syncs import queries as syncs
from services.gateway.syncs.queries import Sync
from shared.connector import Provider
from shared.contracts.connections import Connection
from shared.contracts.envelope import Message, Undecodable, event, header
from shared.contracts.items import parse_key
from shared.contracts.syncs import ReadAgain, SyncRequested
from shared.contracts.topics import SYNCS
from shared.kafka import ConsumedRecord

CHUNK = 200


class Projected(msgspec.Struct, frozen=True):
    """An item as the gateway keeps it: ``raw`` stays the bytes that came."""

    provider: str
    name: str
    parent_id: str | None = None
    url: str | None = None
    created: str | None = None
    modified: str | None = None
    raw: msgspec.Raw = msgspec.Raw(b"null")
    raw_bytes: int | None = None


DECODER = msgspec.json.Decoder(Projected)


async def project_items(db: AsyncConnection, rows: Sequence[dict[str, Any]]) -> list[items.Key]:
    """Write item rows of one batch, in the order of their offsets.

    Returns the keys of those that were overtaken: appended behind a newer version of their key, or behind the deletion
    that a disconnect brought. A paused worker that wakes can do that; on the topic its item is the last word.
    """
    newest: dict[items.Key, dict[str, Any]] = {}
    overtaken: set[items.Key] = set()
    for row in rows:
        key = items.key(row)
        if key not in newest or newest[key]["version"] < row["version"]:
            newest[key] = row
        elif newest[key]["version"] > row["version"]:
            overtaken.add(key)
    lowest = await connections.open_generations(db, {key[0] for key in newest})
    closed = [row for row in newest.values() if row["generation"] < lowest.get(row["connection"], 0)]
    over = {items.key(row) for row in closed if not row["deleted"]}
    writable = [row for key, row in sorted(newest.items()) if key not in over]
    late = [newest[key] for key in over]
    if await items.write(db, writable) < len(writable):
        late += writable
    return sorted(overtaken | await items.stale_appends(db, late))


def refetch_requests(late: Sequence[items.Key]) -> list[Message]:
    """The requests that make the fetcher send these keys once more, under newer versions."""
    lanes: dict[tuple[str, str], list[str]] = {}
    for connection, resource, id_ in late:
        lanes.setdefault((connection, resource), []).append(id_)
    asked = [
        ReadAgain(connection=connection, resource=resource, ids=tuple(ids[start : start + CHUNK]))
        for (connection, resource), ids in lanes.items()
        for start in range(0, len(ids), CHUNK)
    ]
    return [event(SYNCS, key=one.connection, kind="ReadAgain", source="gateway", body=one) for one in asked]


def item_row(record: ConsumedRecord) -> dict[str, Any]:
    """The row of an item's message; a deletion becomes one that guards against older versions.

    Raises:
        Undecodable: the key, a header or the value is not what the contract says.
    """
    try:
        ref = parse_key(record.key)
        version, generation = int(_need(record, "version")), int(_need(record, "generation"))
        body = None if record.value is None else DECODER.decode(record.value)
    except (ValueError, msgspec.DecodeError, RecursionError) as error:
        raise Undecodable("malformed", f"not an item: {error}") from error
    return {
        "connection": ref.connection,
        "resource": ref.resource,
        "id": ref.id,
        "provider": body.provider if body else "",
        "org_id": header(record.headers, "org") or "",
        "generation": generation,
        "version": version,
        "partition": record.partition,
        "offset": record.offset,
        "deleted": body is None,
        "name": body.name if body else "",
        "folded": body.name.casefold() if body else "",
        "parent_id": body.parent_id if body else None,
        "url": body.url if body else None,
        "created": body.created if body else None,
        "modified": body.modified if body else None,
        "updated": header(record.headers, "ce_time") or "",
        "raw": bytes(body.raw) if body else None,
        "raw_bytes": body.raw_bytes if body else None,
        "digest": header(record.headers, "digest"),
    }


def _need(record: ConsumedRecord, name: str) -> str:
    value = header(record.headers, name)
    if value is None:
        raise Undecodable("malformed", f"the header {name} is missing")
    return value


async def apply_connection(db: AsyncConnection, snapshot: Connection, *, provider: Provider | None) -> None:
    """Keep a newer snapshot: the sync it names begins with it, and a disconnect takes its items away.

    An older one, or the same again, changes nothing.
    """
    before = await connections.get(db, snapshot.id)
    if not await connections.save(db, snapshot):
        return
    if before is not None and before.generation < snapshot.generation and before.status != "disconnected":
        # Its end was not heard of: the answer to the consent that followed came first.
        await items.drop_generations(db, snapshot.id, up_to=before.generation)
    if snapshot.status == "disconnected":
        await items.drop_generations(db, snapshot.id, up_to=snapshot.generation)
    elif snapshot.sync_id and provider is not None:
        await syncs.add(db, first_sync(snapshot, snapshot.sync_id, provider))


def first_sync(snapshot: Connection, id_: str, provider: Provider) -> Sync:
    """The sync that a ``Connected`` or ``Recovered`` event starts; it has the event's id, and so its time."""
    return Sync(
        id=id_,
        connection=snapshot.id,
        mode="full",
        resources=tuple(resource.slug for resource in provider.resources),
        whole=True,
        why="connected",
        created=_made_at(id_),
    )


def asked_sync(asked: SyncRequested) -> Sync:
    """The sync that a request of ours made, as its row was written then. Raises ``Undecodable``."""
    try:
        created = syncs.moment(asked.requested)
    except ValueError:
        raise Undecodable("malformed", "requested is not a time") from None
    return Sync(
        id=asked.sync,
        connection=asked.connection,
        mode=asked.mode,
        resources=asked.covers or asked.resources or (),
        whole=asked.resources is None,
        why=asked.why,
        created=created,
    )


def _made_at(id_: str) -> float:
    """Epoch seconds out of a UUIDv7 (RFC 9562 §5.7), so that a rebuilt read model shows the same time."""
    try:
        return int(id_[:12], 16) / 1000
    except ValueError:
        return time.time()
