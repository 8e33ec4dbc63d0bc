"""What was sighted of each lane: id, digest of the content, and the version at the last sighting."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import delete, func, select
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher.tables import seen

CHUNK = 500


class Sighting(msgspec.Struct, frozen=True):
    id: str
    digest: bytes
    version: int


_LOOKUP = select(seen.c.id, seen.c.digest, seen.c.version)
_RECORD = upsert(seen)
_RECORD = _RECORD.on_conflict_do_update(
    index_elements=["connection", "resource", "id"],
    set_={"digest": _RECORD.excluded.digest, "version": _RECORD.excluded.version},
    where=seen.c.version < _RECORD.excluded.version,
)


async def known(db: AsyncConnection, connection: str, resource: str, ids: Sequence[str]) -> dict[str, Sighting]:
    found: dict[str, Sighting] = {}
    for start in range(0, len(ids), CHUNK):
        query = _LOOKUP.where(
            seen.c.connection == connection, seen.c.resource == resource, seen.c.id.in_(ids[start : start + CHUNK])
        )
        found.update({id_: Sighting(id_, digest, version) for id_, digest, version in await db.execute(query)})
    return found


async def record(db: AsyncConnection, connection: str, resource: str, sightings: Sequence[Sighting]) -> None:
    if sightings:
        rows = [
            {"connection": connection, "resource": resource, "id": s.id, "digest": s.digest, "version": s.version}
            for s in sightings
        ]
        await db.execute(_RECORD, rows)


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
    for start in range(0, len(ids), CHUNK):
        gone = seen.c.id.in_(ids[start : start + CHUNK])
        await db.execute(delete(seen).where(seen.c.connection == connection, seen.c.resource == resource, gone))
