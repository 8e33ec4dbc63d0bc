"""Items as they are read: the newest version per key, deletions kept as a guard against late, older versions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import BigInteger, ColumnElement, Row, bindparam, delete, func, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.tables import items
from shared.db import BulkUpsert, CompiledSelect, KeyLookup

GUARDED = upsert(items)
GUARDED = GUARDED.on_conflict_do_update(
    index_elements=["connection", "resource", "id"],
    set_={column.name: GUARDED.excluded[column.name] for column in items.columns if not column.primary_key},
    where=items.c.version < GUARDED.excluded.version,
)
_GUARDED_ALL = BulkUpsert(GUARDED)
_IN_ORDER = itemgetter(*_GUARDED_ALL.columns)
_AFTER = ("after_connection", "after_resource", "after_id")
_LIMIT = text("LIMIT :limit").bindparams(bindparam("limit", type_=BigInteger))  # SQLAlchemy's own adds an offset
_LIKE = re.compile("[/%_]")
_WEB_LINK = re.compile(r"https?://[^/?#]", re.IGNORECASE)
Key = tuple[str, str, str]
_STORED = KeyLookup(items.c.id, items.c.version, items.c.offset)


class StoredItem(NamedTuple):
    """What is shown of a row. ``raw`` is JSON; None when the record was too large, of ``raw_bytes``."""

    connection: str
    resource: str
    id: str
    provider: str
    org_id: str
    version: int
    name: str
    parent_id: str | None
    url: str | None
    created: str | None
    modified: str | None
    updated: str
    raw: bytes | None
    raw_bytes: int | None

    @property
    def key(self) -> tuple[str, str, str]:
        return self.connection, self.resource, self.id


_SHOWN = [items.c[name] for name in StoredItem._fields]


class ItemQuery(msgspec.Struct, frozen=True, kw_only=True):
    """``q`` is a part of the name in any case, ``updated_since`` RFC 3339, ``after`` a key to go on behind."""

    connections: Sequence[str] | None = None
    org_id: str | None = None
    provider: str | None = None
    resource: str | None = None
    q: str | None = None
    updated_since: str | None = None
    after: Key | None = None
    limit: int = 50


def web_link(url: str | None) -> str | None:
    """Return the URL if it may be a link; None for ``javascript:`` and its like, which an item could carry."""
    return url if url and _WEB_LINK.match(url) else None


async def write(db: AsyncConnection, rows: Sequence[dict[str, Any]]) -> int:
    """Upsert rows that are sorted by key; an older version than the stored one changes nothing.

    Returns how many were written.
    """
    return await _GUARDED_ALL.run(db, [_IN_ORDER(row) for row in rows])


async def stale_appends(db: AsyncConnection, rows: Sequence[dict[str, Any]]) -> set[Key]:
    """The keys of those rows that stand behind a newer version on the topic."""
    lanes: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for row in rows:
        lanes.setdefault((row["connection"], row["resource"]), {})[row["id"]] = row
    found: set[Key] = set()
    for (connection, resource), mine in lanes.items():
        for id_, version, offset in await _STORED.rows(db, {"connection": connection, "resource": resource}, mine):
            if version > mine[id_]["version"] and offset < mine[id_]["offset"]:
                found.add((connection, resource, id_))
    return found


def key(row: Mapping[str, Any]) -> Key:
    return row["connection"], row["resource"], row["id"]


async def page(db: AsyncConnection, query: ItemQuery) -> list[StoredItem]:
    """The next ``limit`` items in key order (connection, resource, id).

    Named connections are read one after the other, so that the database seeks to the page whatever its depth.
    """
    if query.connections is None:
        return await _rows(db, query, connection=None, limit=query.limit)
    found: list[StoredItem] = []
    for connection in sorted(query.connections):
        if len(found) == query.limit:
            break
        if query.after is None or connection >= query.after[0]:
            found += await _rows(db, query, connection=connection, limit=query.limit - len(found))
    return found


async def _rows(db: AsyncConnection, query: ItemQuery, *, connection: str | None, limit: int) -> list[StoredItem]:
    given: dict[str, Any] = {
        "connection": connection,
        "org_id": query.org_id,
        "provider": query.provider,
        "resource": query.resource,
        "folded": "%" + _LIKE.sub(r"/\g<0>", query.q.casefold()) + "%" if query.q else None,
        "updated": query.updated_since,
    }
    if query.after is not None and connection in {None, query.after[0]}:
        given |= dict(zip(_AFTER, query.after, strict=True))
    statement = _statement(frozenset(name for name, value in given.items() if value is not None))
    rows = await statement.rows(db, {**given, "limit": limit})
    return [_stored(row) for row in rows]


async def get(db: AsyncConnection, key: Key) -> StoredItem | None:
    connection, resource, id_ = key
    found = select(*_SHOWN).where(
        items.c.connection == connection,
        items.c.resource == resource,
        items.c.id == id_,
        items.c.deleted == False,  # noqa: E712  # SQL
    )
    row = (await db.execute(found)).first()
    return None if row is None else _stored(row)


async def outlines(db: AsyncConnection, connection: str, resource: str) -> list[Row[Any]]:
    """Every item of a resource without its raw record, by parent, then id."""
    columns = ("id", "name", "parent_id", "url", "created", "modified")
    query = select(*(items.c[name] for name in columns)).where(
        items.c.connection == connection,
        items.c.resource == resource,
        items.c.deleted == False,  # noqa: E712  # SQL
    )
    parent = func.coalesce(items.c.parent_id, "")
    return list(await db.execute(query.order_by(parent, items.c.id)))


async def drop_generations(db: AsyncConnection, connection: str, *, up_to: int) -> None:
    """Forget the items of a connection that was disconnected, as far as its closed generation goes.

    Deletions stay: without them nobody would notice an item that is appended behind its own deletion.
    """
    closed = (items.c.connection == connection) & (items.c.generation <= up_to) & ~items.c.deleted
    await db.execute(delete(items).where(closed))


@lru_cache(maxsize=512)
def _statement(given: frozenset[str]) -> CompiledSelect:
    """The page's statement with the parameters that are given: as many shapes as there are sets of filters."""
    conditions = {
        **{name: items.c[name] == bindparam(name) for name in ("connection", "org_id", "provider", "resource")},
        "folded": items.c.folded.like(bindparam("folded"), escape="/"),
        "updated": items.c.updated >= bindparam("updated"),
    }
    selected = select(*_SHOWN).where(~items.c.deleted)
    selected = selected.where(*(condition for name, condition in conditions.items() if name in given))
    if _AFTER[0] in given:
        selected = selected.where(_behind(given))
    order = (items.c.connection, items.c.resource, items.c.id)
    return CompiledSelect(selected.order_by(*order).suffix_with(_LIMIT))


def _behind(given: frozenset[str]) -> ColumnElement[bool]:
    """Behind the page token's key; what an equality fixes is left out of it, as SQLite seeks by one of the two."""
    behind = dict(zip(("connection", "resource", "id"), _AFTER, strict=True))
    free = {name: parameter for name, parameter in behind.items() if name not in given}
    types = {name: items.c[name].type for name in free}
    return tuple_(*(items.c[name] for name in free)) > tuple_(
        *(bindparam(parameter, type_=types[name]) for name, parameter in free.items())
    )


def _stored(row: Sequence[Any]) -> StoredItem:
    """Whoever shows an item may make a link of its URL."""
    found = StoredItem._make(row)
    return found._replace(url=web_link(found.url))
