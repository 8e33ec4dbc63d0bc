"""Fold batches of the topics into the read model: highest version per key, in key order, positions with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.store import connections, items
from shared.contracts.envelope import Undecodable, header
from shared.contracts.items import parse_key
from shared.kafka import Received

log = structlog.get_logger()


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


async def project_items(db: AsyncConnection, rows: Sequence[dict[str, Any]]) -> int:
    """Write item rows of one batch; returns how many came too late to count.

    Late are those below a version of the same batch, and those of a generation that a disconnect has closed.
    """
    newest: dict[items.Key, dict[str, Any]] = {}
    for row in rows:
        key = (row["connection"], row["resource"], row["id"])
        if key not in newest or newest[key]["version"] < row["version"]:
            newest[key] = row
    lowest = await connections.open_generations(db, {key[0] for key in newest})
    live = [row for key, row in sorted(newest.items()) if row["generation"] >= lowest.get(key[0], 0)]
    await items.write(db, live)
    return len(rows) - len(live)


def item_row(received: Received) -> dict[str, Any]:
    """The row of an item's message; a deletion becomes one that guards against older versions.

    Raises:
        Undecodable: the key, a header or the value is not what the contract says.
    """
    try:
        ref = parse_key(received.key)
        version, generation = int(_need(received, "version")), int(_need(received, "generation"))
        body = None if received.value is None else DECODER.decode(received.value)
    except (ValueError, msgspec.DecodeError, RecursionError) as error:
        raise Undecodable("malformed", f"not an item: {error}") from error
    return {
        "connection": ref.connection,
        "resource": ref.resource,
        "id": ref.id,
        "provider": body.provider if body else "",
        "org_id": header(received.headers, "org") or "",
        "generation": generation,
        "version": version,
        "partition": received.partition,
        "offset": received.offset,
        "deleted": body is None,
        "name": body.name if body else "",
        "folded": body.name.casefold() if body else "",
        "parent_id": body.parent_id if body else None,
        "url": body.url if body else None,
        "created": body.created if body else None,
        "modified": body.modified if body else None,
        "updated": header(received.headers, "ce_time") or "",
        "raw": bytes(body.raw) if body else None,
        "raw_bytes": body.raw_bytes if body else None,
        "digest": header(received.headers, "digest"),
    }


def _need(received: Received, name: str) -> str:
    value = header(received.headers, name)
    if value is None:
        raise Undecodable("malformed", f"the header {name} is missing")
    return value
