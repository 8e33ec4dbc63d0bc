"""What was sighted: of a lane its ids, with digest and version at the last sighting; of a job its cursors."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Text, bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher.tables import cursors, seen
from shared.db import BulkUpsert, KeyLookup, in_array, json_array

CHUNK = 500


class Sighting(msgspec.Struct, frozen=True):
    id: str
    digest: bytes
    version: int


_KNOWN = KeyLookup(seen.c.id, seen.c.digest, seen.c.version)
_RECORD = upsert(seen)
_RECORD = _RECORD.on_conflict_do_update(
    index_elements=["connection", "resource", "id"],
    set_={"digest": _RECORD.excluded.digest, "version": _RECORD.excluded.version},
    where=seen.c.version < _RECORD.excluded.version,
)
_RECORD_ALL = BulkUpsert(_RECORD)
# One by one: of many at once PostgreSQL may make a walk through the whole lane, as in ``KeyLookup``.
_FORGET = delete(seen).where(*(column == bindparam(column.name) for column in seen.primary_key))
_CURSOR = upsert(cursors).on_conflict_do_nothing()
_DOUBT = upsert(seen).on_conflict_do_update(index_elements=["connection", "resource", "id"], set_={"digest": b""})


_FORGET_CURSORS = delete(cursors).where(in_array(cursors.c.job, bindparam("ids", type_=Text)))


async def known(db: AsyncConnection, connection: str, resource: str, ids: Sequence[str]) -> dict[str, Sighting]:
    rows = await _KNOWN.rows(db, {"connection": connection, "resource": resource}, ids)
    return {id_: Sighting(id_, digest, version) for id_, digest, version in rows}


async def record(db: AsyncConnection, connection: str, resource: str, sightings: Sequence[Sighting]) -> None:
    await _RECORD_ALL.run(db, [(connection, resource, s.id, s.digest, s.version) for s in sightings])


async def doubt(db: AsyncConnection, connection: str, resource: str, ids: Sequence[str]) -> None:
    """These were perhaps sent: readers may have them, and nobody knows with which content.

    What comes again is sent again, whatever it holds; what does not come again is deleted.
    """
    if ids:
        rows = [{"connection": connection, "resource": resource, "id": id_, "digest": b"", "version": 0} for id_ in ids]
        await db.execute(_DOUBT, rows)


async def count(db: AsyncConnection, connection: str, resource: str, *, below: int | None = None) -> int:
    """How many ids the lane has, or had last sighted before version ``below``."""
    query = select(func.count()).where(seen.c.connection == connection, seen.c.resource == resource)
    if below is not None:
        query = query.where(seen.c.version < below)
    return int((await db.execute(query)).scalar_one())


async def unsighted(db: AsyncConnection, connection: str, resource: str, *, below: int) -> list[str]:
    """The next ids last sighted before version ``below``, at most ``CHUNK``."""
    query = select(seen.c.id).where(
        seen.c.connection == connection, seen.c.resource == resource, seen.c.version < below
    )
    return list((await db.execute(query.order_by(seen.c.id).limit(CHUNK))).scalars())


async def forget(db: AsyncConnection, connection: str, resource: str, ids: Sequence[str]) -> None:
    if ids:
        await db.execute(_FORGET, [{"connection": connection, "resource": resource, "id": id_} for id_ in ids])


async def first_sighting(db: AsyncConnection, job: str, cursor: bytes) -> bool:
    """Remember the digest of a cursor of this job; False when the provider has given it before."""
    return (await db.execute(_CURSOR, {"job": job, "digest": cursor})).rowcount == 1


async def forget_cursors(db: AsyncConnection, *jobs: str) -> None:
    await db.execute(_FORGET_CURSORS, {"ids": json_array(jobs)})
