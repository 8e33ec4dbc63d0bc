"""Remember what a lane's records were when they were last read.

An item that readers already have is sent again only when it has changed. A record that cannot be
read becomes one dead letter, and another one only when its bytes have changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import msgspec
from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher.tables import dropped_records, known_items
from shared.connector import Rejected
from shared.db import BulkUpsert, KeyLookup

# Deletions per checkpoint. A run may end between two checkpoints.
CHUNK: Final = 500


class KnownItem(msgspec.Struct, frozen=True):
    """An item's id, the digest of its content, and its version when it was last read.

    ``part`` is the part that owns it, None when that is not known.
    """

    id: str
    digest: bytes
    version: int
    part: str | None = None


_KNOWN: Final = KeyLookup(known_items.c.id, known_items.c.digest, known_items.c.version)
_NEW: Final = upsert(known_items)
_RECORD: Final = BulkUpsert(
    _NEW.on_conflict_do_update(
        index_elements=["connection_id", "resource", "id"],
        set_={
            "digest": _NEW.excluded.digest,
            "version": _NEW.excluded.version,
            # When a single item is read by its id, its part is unknown.
            "part": func.coalesce(_NEW.excluded.part, known_items.c.part),
        },
        where=known_items.c.version < _NEW.excluded.version,
    )
)
# One by one: for many at once PostgreSQL may scan the whole lane, as in ``KeyLookup``.
_FORGET: Final = delete(known_items).where(
    *(column == bindparam(column.name) for column in known_items.primary_key)
)
_INVALIDATE: Final = upsert(known_items).on_conflict_do_update(
    index_elements=["connection_id", "resource", "id"], set_={"digest": b""}
)
_DROPPED: Final = KeyLookup(dropped_records.c.digest)
_NEW_DROPPED: Final = upsert(dropped_records)
_RECORD_DROPPED: Final = BulkUpsert(
    _NEW_DROPPED.on_conflict_do_update(
        index_elements=["connection_id", "resource", "digest"],
        set_={"version": _NEW_DROPPED.excluded.version},
    )
)


async def known(
    db: AsyncConnection, connection_id: str, resource: str, ids: Sequence[str]
) -> dict[str, KnownItem]:
    rows = await _KNOWN.rows(db, {"connection_id": connection_id, "resource": resource}, ids)
    return {id_: KnownItem(id_, digest, version) for id_, digest, version in rows}


async def record(
    db: AsyncConnection, connection_id: str, resource: str, items: Sequence[KnownItem]
) -> None:
    await _RECORD.run(
        db, [(connection_id, resource, one.id, one.digest, one.version, one.part) for one in items]
    )


async def invalidate(
    db: AsyncConnection, connection_id: str, resource: str, ids: Sequence[str]
) -> None:
    """Note that readers may have these ids with content that we do not know.

    When they are read next, they are sent, changed or not; those not found are deleted.
    """
    if ids:
        rows = [
            {
                "connection_id": connection_id,
                "resource": resource,
                "id": id_,
                "digest": b"",
                "version": 0,
            }
            for id_ in ids
        ]
        await db.execute(_INVALIDATE, rows)


async def count(
    db: AsyncConnection, connection_id: str, resource: str, *, before: int | None = None
) -> int:
    """Return how many ids the lane has, or how many were last read before version ``before``."""
    query = select(func.count()).where(
        known_items.c.connection_id == connection_id, known_items.c.resource == resource
    )
    if before is not None:
        query = query.where(known_items.c.version < before)
    return int((await db.execute(query)).scalar_one())


async def not_seen_since(
    db: AsyncConnection, connection_id: str, resource: str, *, version: int
) -> list[str]:
    """Return the next ids that were last read before ``version``, ``CHUNK`` at most."""
    query = select(known_items.c.id).where(
        known_items.c.connection_id == connection_id,
        known_items.c.resource == resource,
        known_items.c.version < version,
    )
    return list((await db.execute(query.order_by(known_items.c.id).limit(CHUNK))).scalars())


async def of_part(
    db: AsyncConnection, connection_id: str, resource: str, part: str, *, most: int = CHUNK
) -> list[str]:
    """Return the next ids of a part, at most ``most``."""
    query = select(known_items.c.id).where(
        known_items.c.connection_id == connection_id,
        known_items.c.resource == resource,
        known_items.c.part == part,
    )
    return list((await db.execute(query.order_by(known_items.c.id).limit(most))).scalars())


async def forget(
    db: AsyncConnection, connection_id: str, resource: str, ids: Sequence[str]
) -> None:
    if ids:
        await db.execute(
            _FORGET,
            [{"connection_id": connection_id, "resource": resource, "id": id_} for id_ in ids],
        )


async def without_letter(
    db: AsyncConnection, connection_id: str, resource: str, rejected: Sequence[Rejected]
) -> list[Rejected]:
    """Return the records that have no dead letter yet, each once."""
    digests = {_digest(one): one for one in rejected}
    lane = {"connection_id": connection_id, "resource": resource}
    known = {row.digest for row in await _DROPPED.rows(db, lane, digests)} if digests else set()
    return [one for digest, one in digests.items() if digest not in known]


async def record_dropped(
    db: AsyncConnection,
    connection_id: str,
    resource: str,
    rejected: Sequence[Rejected],
    *,
    version: int,
) -> None:
    """Note that each of these records has a dead letter, and was last seen at ``version``."""
    digests = {_digest(one) for one in rejected}
    await _RECORD_DROPPED.run(
        db, [(connection_id, resource, digest, version) for digest in sorted(digests)]
    )


async def forget_dropped(
    db: AsyncConnection, connection_id: str, resource: str, *, before: int | None = None
) -> None:
    """Forget the dropped records last seen before version ``before``, or all those of the lane."""
    lane = (dropped_records.c.connection_id == connection_id) & (
        dropped_records.c.resource == resource
    )
    if before is not None:
        lane &= dropped_records.c.version < before
    await db.execute(delete(dropped_records).where(lane))


def _digest(one: Rejected) -> str:
    return blake2b(one.raw, digest_size=16).hexdigest()
