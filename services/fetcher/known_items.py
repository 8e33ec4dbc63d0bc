"""Remember what a lane's records were when they were last read, and keep the lane's digest.

An item that readers already have is sent again only when it has changed. A record that cannot be
read becomes one dead letter, and another one only when its bytes have changed.

The lane's row carries the digest of all its items. Every function here that changes items updates
it in the same transaction, which has to hold the connection's lock: the digest is read, added to
and written back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, and_, bindparam, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher.tables import dropped_records, known_items, lanes
from shared.connector import Rejected, Span
from shared.db import BulkUpsert, KeyLookup

# Deletions per checkpoint. A run may end between two checkpoints.
CHUNK: Final = 500


class KnownItem(msgspec.Struct, frozen=True):
    """An item's id, the digest of its content, and its version when it was last read.

    ``digest`` is empty when the item is invalidated. ``part`` is the part that owns it, None when
    that is not known.
    """

    id: str
    digest: bytes
    version: int
    part: str | None = None


class ReadItems(msgspec.Struct, frozen=True, kw_only=True):
    """The items of a page that has been read.

    ``changed`` are the ones that are sent. ``before`` is what was known of the page's ids when it
    was compared.
    """

    changed: list[KnownItem]
    unchanged: list[KnownItem]
    before: Mapping[str, KnownItem]


class LaneDigest(msgspec.Struct, frozen=True):
    """The sum modulo 2^128 over a lane's items, and how many more items are invalidated.

    An item counts as BLAKE2b-128 of its id (UTF-8) and the 16 bytes of its content digest, read as
    a big-endian number. Readers can compute the same sum from the topic. An invalidated item counts
    as nothing.
    """

    total: int
    invalidated: int

    @classmethod
    def stored(cls, digest: str, invalidated: int) -> LaneDigest:
        return cls(int(digest, 16), invalidated)

    @property
    def hex(self) -> str:
        return f"{self.total:032x}"

    def replaced(self, before: Collection[KnownItem], after: Collection[KnownItem]) -> LaneDigest:
        """Return the digest of the lane when it has the items ``after`` instead of ``before``."""
        less, more = _numbers(before), _numbers(after)
        invalidated = (len(after) - len(more)) - (len(before) - len(less))
        total = (self.total - sum(less) + sum(more)) % (1 << 128)
        return LaneDigest(total, self.invalidated + invalidated)


def _numbers(items: Iterable[KnownItem]) -> list[int]:
    return [
        int.from_bytes(blake2b(one.id.encode() + one.digest, digest_size=16).digest(), "big")
        for one in items
        if one.digest
    ]


_KNOWN: Final = KeyLookup(known_items.c.id, known_items.c.digest, known_items.c.version)
_NEW: Final = upsert(known_items)
_SEEN: Final = {
    "version": _NEW.excluded.version,
    # When a single item is read by its id, its part is unknown.
    "part": func.coalesce(_NEW.excluded.part, known_items.c.part),
}


def _recording(columns: Mapping[str, Any]) -> BulkUpsert:
    older = known_items.c.version < _NEW.excluded.version
    key = ["connection_id", "resource", "id"]
    return BulkUpsert(_NEW.on_conflict_do_update(index_elements=key, set_=columns, where=older))


_RECORD: Final = _recording({"digest": _NEW.excluded.digest, **_SEEN})
# Without the digest: if the item was invalidated while the page was read, it has to stay so.
_RECORD_UNCHANGED: Final = _recording(_SEEN)
# One by one: for many at once PostgreSQL may scan the whole lane, as in ``KeyLookup``.
_FORGET: Final = delete(known_items).where(
    *(column == bindparam(column.name) for column in known_items.primary_key)
)
_SENT: Final = (
    update(known_items)
    .where(*(column == bindparam(f"of_{column.name}") for column in known_items.primary_key))
    .values(digest=bindparam("sent"))
)
_INVALIDATE: Final = upsert(known_items).on_conflict_do_update(
    index_elements=["connection_id", "resource", "id"], set_={"digest": b""}
)
_OF_LANE: Final = (
    lanes.c.connection_id == bindparam("of_connection_id"),
    lanes.c.resource == bindparam("of_resource"),
)
_LANE_DIGEST: Final = select(lanes.c.digest, lanes.c.invalidated).where(*_OF_LANE)
_SAVE_DIGEST: Final = (
    update(lanes)
    .where(*_OF_LANE, lanes.c.invalidated == bindparam("invalidated_before"))
    .values(digest=bindparam("digest"), invalidated=bindparam("invalidated"))
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


async def lane_digest(db: AsyncConnection, connection_id: str, resource: str) -> LaneDigest:
    lane = {"of_connection_id": connection_id, "of_resource": resource}
    return LaneDigest.stored(*(await db.execute(_LANE_DIGEST, lane)).one())


async def record(
    db: AsyncConnection,
    connection_id: str,
    resource: str,
    read: ReadItems,
    *,
    lane: LaneDigest | None,
) -> None:
    """Record the items of a page.

    ``lane`` is the lane's digest as of ``read.before``; it may be None if nothing has changed.
    """
    lane_key, changed = (connection_id, resource), read.changed
    await _RECORD_UNCHANGED.run(db, _rows(lane_key, read.unchanged))
    if not changed or lane is None:
        return
    before = [read.before[one.id] for one in changed if one.id in read.before]
    if not await _save_digest(db, *lane_key, lane, lane.replaced(before, changed)):
        # Some items were invalidated meanwhile. What was sent of those may be older than what
        # readers have, so they stay invalidated until the next load sends them again.
        present = await known(db, *lane_key, [one.id for one in changed])
        changed = [_unless_invalidated(one, read.before, present) for one in changed]
        lane = await lane_digest(db, *lane_key)
        await _save_digest(db, *lane_key, lane, lane.replaced(present.values(), changed))
    await _RECORD.run(db, _rows(lane_key, changed))


def _rows(lane_key: tuple[str, str], items: Sequence[KnownItem]) -> list[tuple[Any, ...]]:
    return [(*lane_key, one.id, one.digest, one.version, one.part) for one in items]


def _unless_invalidated(
    one: KnownItem, before: Mapping[str, KnownItem], present: Mapping[str, KnownItem]
) -> KnownItem:
    """Return the item without its digest if it was invalidated after ``before``."""
    was, now = before.get(one.id), present.get(one.id)
    meanwhile = now is not None and not now.digest and (was is None or bool(was.digest))
    return msgspec.structs.replace(one, digest=b"") if meanwhile else one


async def _save_digest(
    db: AsyncConnection, connection_id: str, resource: str, before: LaneDigest, after: LaneDigest
) -> bool:
    """Save the lane's digest; return False if items were invalidated since ``before``."""
    saved = await db.execute(
        _SAVE_DIGEST,
        {
            "of_connection_id": connection_id,
            "of_resource": resource,
            "invalidated_before": before.invalidated,
            "digest": after.hex,
            "invalidated": after.invalidated,
        },
    )
    return saved.rowcount == 1


async def record_sent(
    db: AsyncConnection, connection_id: str, resource: str, id_: str, *, was: bytes, digest: bytes
) -> None:
    """Record that an item was sent with another digest than it ``was``, though no walk read it.

    If the item was invalidated or deleted meanwhile, it stays so.
    """
    present = (await known(db, connection_id, resource, [id_])).get(id_)
    if present is None or present.digest != was:
        return
    sent = msgspec.structs.replace(present, digest=digest)
    lane = await lane_digest(db, connection_id, resource)
    await _save_digest(db, connection_id, resource, lane, lane.replaced([present], [sent]))
    key = {"of_connection_id": connection_id, "of_resource": resource, "of_id": id_}
    await db.execute(_SENT, {**key, "sent": digest})


async def invalidate(
    db: AsyncConnection, connection_id: str, resource: str, ids: Sequence[str]
) -> None:
    """Note that readers may have these ids with content that we do not know.

    When they are read next, they are sent, changed or not; those not found are deleted.
    """
    if not ids:
        return
    before = await known(db, connection_id, resource, ids)
    after = [KnownItem(id_, b"", 0) for id_ in dict.fromkeys(ids)]
    lane = await lane_digest(db, connection_id, resource)
    await _save_digest(db, connection_id, resource, lane, lane.replaced(before.values(), after))
    key = {"connection_id": connection_id, "resource": resource}
    rows = [{**key, "id": one.id, "digest": one.digest, "version": one.version} for one in after]
    await db.execute(_INVALIDATE, rows)


async def invalidate_all(db: AsyncConnection, connection_id: str, resource: str) -> None:
    """Note the same of everything that is known of the lane."""
    lane = (known_items.c.connection_id == connection_id) & (known_items.c.resource == resource)
    changed = await db.execute(update(known_items).where(lane).values(digest=b""))
    values = {"digest": LaneDigest(0, 0).hex, "invalidated": changed.rowcount}
    own = (lanes.c.connection_id == connection_id) & (lanes.c.resource == resource)
    await db.execute(update(lanes).where(own).values(values))


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


async def seen_since(
    db: AsyncConnection, connection_id: str, resource: str, *, version: int
) -> int:
    """Return how many items and dropped records of the lane were read since ``version``."""
    found = 0
    for table in (known_items, dropped_records):
        query = select(func.count()).where(
            table.c.connection_id == connection_id,
            table.c.resource == resource,
            table.c.version >= version,
        )
        found += int((await db.execute(query)).scalar_one())
    return found


async def seen_in(
    db: AsyncConnection, connection_id: str, resource: str, span: Span, *, version: int
) -> int:
    """Return how many items with ids in ``span`` were read since ``version``."""
    query = select(func.count()).where(_seen_in(connection_id, resource, span, version=version))
    return int((await db.execute(query)).scalar_one())


async def nth_in(
    db: AsyncConnection, connection_id: str, resource: str, span: Span, *, version: int, n: int
) -> str | None:
    """Return the id, numbered ``n`` from 0, of those in ``span`` that were read since ``version``.

    They are in numeric order.
    """
    query = select(known_items.c.id).where(_seen_in(connection_id, resource, span, version=version))
    ordered = query.order_by(func.length(known_items.c.id), known_items.c.id)
    found: str | None = (await db.execute(ordered.offset(n).limit(1))).scalar()
    return found


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
    before = await known(db, connection_id, resource, ids) if ids else {}
    if not before:
        return
    lane = await lane_digest(db, connection_id, resource)
    await _save_digest(db, connection_id, resource, lane, lane.replaced(before.values(), ()))
    key = {"connection_id": connection_id, "resource": resource}
    await db.execute(_FORGET, [{**key, "id": id_} for id_ in before])


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


def _seen_in(connection_id: str, resource: str, span: Span, *, version: int) -> ColumnElement[bool]:
    seen = and_(
        known_items.c.connection_id == connection_id,
        known_items.c.resource == resource,
        known_items.c.version >= version,
        func.trim(known_items.c.id, "0123456789") == "",
        _from(span.first),
    )
    return seen if span.end is None else seen & ~_from(span.end)


def _from(bound: str) -> ColumnElement[bool]:
    """Match the numbers from ``bound`` on: a longer one is greater, as none begins with a zero."""
    length = func.length(known_items.c.id)
    return or_(length > len(bound), (length == len(bound)) & (known_items.c.id >= bound))
