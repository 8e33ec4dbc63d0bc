"""Queue the items that the provider truncated, and keep what has been read of the rest of them.

A row belongs to an item whose object a list gave with fields cut off. It is valid as long as
readers still have what they had when it was written; otherwise the item has changed since, and the
row is ignored. Of an invalidated item nobody knows what they have: its digest is empty in both
places. Ordinary items have no row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import (
    ColumnElement,
    Table,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    select,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher import store
from services.fetcher.jobs.queries import Job
from services.fetcher.known_items import KnownItem
from services.fetcher.tables import known_items, truncated, truncated_pieces
from shared import clock
from shared.connector import Cursor, Record
from shared.db import KeyLookup

Standing = Literal["waiting", "refused", "complete"]
"""``waiting``: there is more to read. ``refused``: the provider does not give all of the rest."""
AS_LISTED: Final = 0
"""The number of the piece that holds the object as the list gave it."""


class TruncatedItem(msgspec.Struct, kw_only=True):
    """An item that the provider truncated, and how far its completion is.

    ``listed`` is the digest of the object as the list gave it: while it stays the same, nothing is
    asked again. ``sent`` is the digest of what readers have, and they have all of it if ``whole``.
    ``fields`` are still to be read; ``cursor`` is the place in the first of them. ``pieces`` counts
    the answers that are kept, the object itself included, and ``size`` their bytes.
    ``failing_since`` is the first failure since the last answer.
    """

    id: str
    listed: bytes
    sent: bytes
    whole: bool
    standing: Standing = "waiting"
    fields: list[str]
    cursor: Cursor | None = None
    pieces: int = 1
    size: int = 0
    restarts: int = 0
    next_try_at: float = 0.0
    failing_since: float | None = None


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """A record to complete. If readers have the ``whole`` item, they keep it until then."""

    record: Record
    listed: bytes
    sent: bytes
    whole: bool


_KEY: Final = ("connection_id", "resource", "id")
_COLUMNS: Final = TruncatedItem.__struct_fields__
_ROWS: Final = KeyLookup(*(truncated.c[name] for name in _COLUMNS))
_NEW: Final = upsert(truncated)
_UPSERT: Final = _NEW.on_conflict_do_update(
    index_elements=list(_KEY), set_={name: _NEW.excluded[name] for name in _COLUMNS[1:]}
)
_FORGET_PIECES: Final = delete(truncated_pieces).where(
    *(truncated_pieces.c[name] == bindparam(f"of_{name}") for name in _KEY)
)
_VALID: Final = exists().where(
    *(known_items.c[name] == truncated.c[name] for name in _KEY),
    known_items.c.digest == truncated.c.sent,
)


def to_complete(
    record: Record, listed: bytes, before: KnownItem | None, row: TruncatedItem | None
) -> Cut | None:
    """Return what to complete; None if the object is as it was when it was listed last.

    A whole item is never replaced by a shorter one, so readers keep what they have. An item without
    a row was not truncated so far, or was read before we noticed: it counts as whole.
    """
    valid = before is not None and row is not None and row.sent == before.digest
    if valid and row is not None and row.listed == listed:
        return None
    if before is None or (valid and row is not None and not row.whole):
        return Cut(record=record, listed=listed, sent=listed, whole=False)
    return Cut(record=record, listed=listed, sent=before.digest, whole=True)


async def rows(db: AsyncConnection, job: Job, ids: Sequence[str]) -> dict[str, TruncatedItem]:
    """Return id → row of those that have one."""
    lane = {"connection_id": job.connection_id, "resource": job.resource}
    found = [row._mapping for row in await _ROWS.rows(db, lane, ids)]  # noqa: SLF001
    return {row["id"]: _from_row(dict(row)) for row in found}


async def queue(db: AsyncConnection, job: Job, cuts: Sequence[Cut]) -> None:
    """Queue these records, each from its beginning, and ask for the lane's background work."""
    await db.execute(_FORGET_PIECES, [_of(job, cut.record.id) for cut in cuts])
    listed = [msgspec.json.encode(cut.record.raw) for cut in cuts]
    for cut, raw in zip(cuts, listed, strict=True):
        row = TruncatedItem(
            id=cut.record.id,
            listed=cut.listed,
            sent=cut.sent,
            whole=cut.whole,
            fields=list(cut.record.truncated),
            size=len(raw),
        )
        await save(db, job, row)
        await _add(db, job, row.id, number=AS_LISTED, field="", following=b"", body=raw)
    await store.confirm_at(db, job.connection_id, job.resource, clock.now())


async def next_due(db: AsyncConnection, job: Job) -> TruncatedItem | None:
    """Return the item whose completion goes on; None if there is none, or all have to wait."""
    due = truncated.c.next_try_at <= clock.now()
    query = select(*(truncated.c[name] for name in _COLUMNS)).where(_waiting(job), due)
    first = query.order_by(truncated.c.next_try_at, truncated.c.id).limit(1)
    row = (await db.execute(first)).mappings().first()
    return None if row is None else _from_row(dict(row))


async def next_try_at(db: AsyncConnection, job: Job) -> float | None:
    """Return when the next item is due; None if none waits."""
    first = select(func.min(truncated.c.next_try_at)).where(_waiting(job))
    found: float | None = (await db.execute(first)).scalar()
    return found


async def save(db: AsyncConnection, job: Job, item: TruncatedItem) -> None:
    await db.execute(_UPSERT, {**_lane_of(job), **_to_row(item)})


async def add_piece(
    db: AsyncConnection, job: Job, item: TruncatedItem, *, following: bytes, body: bytes
) -> bool:
    """Keep the next piece of the item's first field.

    ``following`` is the digest of the cursor that came with it. Return False when that cursor came
    before: the field would never end.
    """
    here = _pieces_of(job, item.id) & (truncated_pieces.c.field == item.fields[0])
    same = select(exists().where(here, truncated_pieces.c.following == following))
    if following and (await db.execute(same)).scalar():
        return False
    field = item.fields[0]
    await _add(db, job, item.id, number=item.pieces, field=field, following=following, body=body)
    item.pieces += 1
    item.size += len(body)
    return True


async def forget_field(db: AsyncConnection, job: Job, item: TruncatedItem) -> None:
    """Forget the pieces of the item's first field."""
    here = _pieces_of(job, item.id) & (truncated_pieces.c.field == item.fields[0])
    size = select(func.coalesce(func.sum(func.length(truncated_pieces.c.body)), 0)).where(here)
    item.size -= int((await db.execute(size)).scalar_one())
    await db.execute(delete(truncated_pieces).where(here))


async def kept(
    db: AsyncConnection, job: Job, item: TruncatedItem
) -> tuple[dict[str, Any], Mapping[str, list[Any]]]:
    """Return the object as it was listed, and field → its pieces, in their order."""
    query = select(truncated_pieces.c.number, truncated_pieces.c.field, truncated_pieces.c.body)
    found = await db.execute(
        query.where(_pieces_of(job, item.id)).order_by(truncated_pieces.c.number)
    )
    raw: dict[str, Any] = {}
    pieces: dict[str, list[Any]] = {}
    for number, field, body in found:
        if number == AS_LISTED:
            raw = msgspec.json.decode(body)
        else:
            pieces.setdefault(field, []).append(msgspec.json.decode(body))
    return raw, pieces


async def forget_pieces(db: AsyncConnection, job: Job, item: TruncatedItem) -> None:
    await db.execute(_FORGET_PIECES, _of(job, item.id))


async def forget_obsolete(db: AsyncConnection, job: Job) -> None:
    """Forget the items that were deleted, or sent in another form, since they were queued."""
    await db.execute(delete(truncated).where(_lane(truncated, job), ~_VALID))
    still = exists().where(*(truncated.c[name] == truncated_pieces.c[name] for name in _KEY))
    await db.execute(delete(truncated_pieces).where(_lane(truncated_pieces, job), ~still))


async def forget_lane(db: AsyncConnection, job: Job) -> None:
    for table in (truncated, truncated_pieces):
        await db.execute(delete(table).where(_lane(table, job)))


async def count(db: AsyncConnection, job: Job) -> int:
    """Return how many items of the lane are not complete."""
    short = _lane(truncated, job) & (truncated.c.standing != "complete") & _VALID
    query = select(func.count()).select_from(truncated).where(short)
    return int((await db.execute(query)).scalar_one())


async def _add(
    db: AsyncConnection,
    job: Job,
    id_: str,
    *,
    number: int,
    field: str,
    following: bytes,
    body: bytes,
) -> None:
    piece = {"number": number, "field": field, "following": following, "body": body}
    await db.execute(insert(truncated_pieces), {**_lane_of(job), "id": id_, **piece})


def _waiting(job: Job) -> ColumnElement[bool]:
    return and_(_lane(truncated, job), truncated.c.standing == "waiting", _VALID)


def _pieces_of(job: Job, id_: str) -> ColumnElement[bool]:
    return _lane(truncated_pieces, job) & (truncated_pieces.c.id == id_)


def _lane(table: Table, job: Job) -> ColumnElement[bool]:
    return (table.c.connection_id == job.connection_id) & (table.c.resource == job.resource)


def _lane_of(job: Job) -> dict[str, str]:
    return {"connection_id": job.connection_id, "resource": job.resource}


def _of(job: Job, id_: str) -> dict[str, str]:
    return {"of_connection_id": job.connection_id, "of_resource": job.resource, "of_id": id_}


def _to_row(item: TruncatedItem) -> dict[str, Any]:
    row = msgspec.structs.asdict(item)
    for column in ("fields", "cursor"):
        row[column] = msgspec.json.encode(row[column]).decode()
    return row


def _from_row(row: dict[str, Any]) -> TruncatedItem:
    row["fields"] = msgspec.json.decode(row["fields"], type=list[str])
    row["cursor"] = msgspec.json.decode(row["cursor"], type=Cursor | None)
    return TruncatedItem(**row)
