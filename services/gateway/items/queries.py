"""Queries on items: the newest version per key; deletions stay as a guard against older ones."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, cast

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Row,
    bindparam,
    case,
    delete,
    exists,
    func,
    select,
    text,
    tuple_,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.tables import items, resources
from shared.contracts.items import Item
from shared.contracts.vocabulary import SyncedAt
from shared.db import BulkUpsert, CompiledSelect, KeyLookup

_INSERT: Final = upsert(items)
_SAME_CONTENT: Final = items.c.digest == _INSERT.excluded.digest  # a deletion has no digest
GUARDED: Final = _INSERT.on_conflict_do_update(
    index_elements=["connection_id", "resource", "id"],
    set_={
        **{
            column.name: _INSERT.excluded[column.name]
            for column in items.columns
            if not column.primary_key
        },
        # `synced_at` is when the present content was stored: an item read again unchanged keeps its
        # time.
        "synced_at": case((_SAME_CONTENT, items.c.synced_at), else_=_INSERT.excluded.synced_at),
    },
    where=items.c.version < _INSERT.excluded.version,
)
_GUARDED_ALL: Final = BulkUpsert(GUARDED)
_IN_ORDER: Final = itemgetter(*_GUARDED_ALL.columns)
_KEY: Final = ("connection_id", "resource", "id")
_AFTER: Final = ("after_connection_id", "after_resource", "after_id")
# SQLAlchemy's own limit() adds an offset.
_LIMIT: Final = text("LIMIT :limit").bindparams(bindparam("limit", type_=BigInteger))
# The escape is named in the query, because SQLite's LIKE has none by default.
# https://www.sqlite.org/lang_expr.html#like
_LIKE: Final = re.compile("[/%_]")
_WEB_LINK: Final = re.compile(r"https?://[^/?#]", re.IGNORECASE)
ItemKey = tuple[str, str, str]
_STORED: Final = KeyLookup(items.c.id, items.c.version, items.c.offset)


class SyncedItem(Item, frozen=True, kw_only=True):
    """One object of a provider, complete for display, as it was last synced."""

    synced_at: SyncedAt

    @property
    def key(self) -> ItemKey:
        return self.connection_id, self.resource, self.id


BLANK: Final[dict[str, Any]] = {
    **{column.name: column.type.python_type() for column in items.columns},
    **{column.name: None for column in items.columns if column.nullable},
}
"""The row of an item of which nothing is known."""
_FIELDS: Final = SyncedItem.__struct_fields__
_SHOWN: Final = [items.c[name] for name in _FIELDS]
# Asked once a page and not per row. The index makes it free while nothing is stale.
_ANY_STALE: Final = exists(select(resources.c.resource).where(resources.c.stale.is_not(None)))
_URL: Final = _FIELDS.index("url")
_RAW: Final = _FIELDS.index("raw")
_TRUNCATED: Final = _FIELDS.index("truncated")


class ItemQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Filters of a page of items.

    ``q`` is a part of the name, ignoring case. ``synced_since`` is compared with ``synced_at`` as
    text, so it must have the rows' own form: UTC, milliseconds, ``Z`` (``timestamp_of`` writes it).
    ``after`` is the key to continue after.
    """

    connections: Sequence[str] | None = None
    org_id: str | None = None
    provider: str | None = None
    resource: str | None = None
    q: str | None = None
    synced_since: str | None = None
    after: ItemKey | None = None
    limit: int = 50


class FoundItems(msgspec.Struct, frozen=True, kw_only=True):
    """The items of a page. ``any_stale``: some resource is stale, whosever it is."""

    items: list[SyncedItem]
    any_stale: bool = False


def web_link(url: str | None) -> str | None:
    """Return the URL if it is safe to link, None for ``javascript:`` and the like."""
    return url if url and _WEB_LINK.match(url) else None


async def write(db: AsyncConnection, rows: Sequence[dict[str, Any]]) -> int:
    """Upsert rows that are sorted by key. A version older than the stored one changes nothing.

    Return the number of rows written.
    """
    return await _GUARDED_ALL.run(db, [_IN_ORDER(row) for row in rows])


async def stale_appends(db: AsyncConnection, rows: Sequence[dict[str, Any]]) -> set[ItemKey]:
    """Return the keys of the rows that come after a newer version on the topic."""
    mine = {key(row): row for row in rows}
    found: set[ItemKey] = set()
    async for stored, version, offset in _stored_versions(db, mine):
        # If the stored offset is not lower, we have read this record before: it is not stale.
        if version > mine[stored]["version"] and offset < mine[stored]["offset"]:
            found.add(stored)
    return found


async def versions(db: AsyncConnection, keys: Collection[ItemKey]) -> dict[ItemKey, int]:
    """Return the stored versions of these keys, deletions included."""
    return {stored: version async for stored, version, _ in _stored_versions(db, keys)}


async def _stored_versions(
    db: AsyncConnection, keys: Collection[ItemKey]
) -> AsyncIterator[tuple[ItemKey, int, int]]:
    """Yield key, version and offset of the stored rows with these keys."""
    lanes: dict[tuple[str, str], list[str]] = {}
    for connection_id, resource, id_ in keys:
        lanes.setdefault((connection_id, resource), []).append(id_)
    for (connection_id, resource), ids in lanes.items():
        for id_, version, offset in await _STORED.rows(
            db, {"connection_id": connection_id, "resource": resource}, ids
        ):
            yield (connection_id, resource, id_), version, offset


def key(row: Mapping[str, Any]) -> ItemKey:
    return row["connection_id"], row["resource"], row["id"]


async def page(db: AsyncConnection, query: ItemQuery) -> FoundItems:
    """Return the next ``limit`` items in the order of connection, resource and id.

    The connections are read one after the other, so that the database seeks to the page however
    deep it is.
    """
    if query.connections is None:
        return _found(await _rows(db, query, connection_id=None, limit=query.limit))
    found: list[Sequence[Any]] = []
    for connection_id in sorted(query.connections):
        if len(found) == query.limit:
            break
        if query.after is None or connection_id >= query.after[0]:
            found += await _rows(
                db, query, connection_id=connection_id, limit=query.limit - len(found)
            )
    return _found(found)


async def _rows(
    db: AsyncConnection, query: ItemQuery, *, connection_id: str | None, limit: int
) -> Sequence[Sequence[Any]]:
    given: dict[str, Any] = {
        "connection_id": connection_id,
        "org_id": query.org_id,
        "provider": query.provider,
        "resource": query.resource,
        "name_folded": "%" + _LIKE.sub(r"/\g<0>", query.q.casefold()) + "%" if query.q else None,
        "synced_at": query.synced_since,
    }
    if query.after is not None and connection_id in {None, query.after[0]}:
        given |= dict(zip(_AFTER, query.after, strict=True))
    statement = _statement(frozenset(name for name, value in given.items() if value is not None))
    return await statement.rows(db, {**given, "limit": limit})


def _found(rows: Sequence[Sequence[Any]]) -> FoundItems:
    return FoundItems(items=[_synced(row[1:]) for row in rows], any_stale=bool(rows and rows[0][0]))


async def get(db: AsyncConnection, key: ItemKey) -> SyncedItem | None:
    connection_id, resource, id_ = key
    found = select(*_SHOWN).where(
        items.c.connection_id == connection_id,
        items.c.resource == resource,
        items.c.id == id_,
        items.c.deleted == False,  # noqa: E712  # SQL
    )
    row = (await db.execute(found)).first()
    return None if row is None else _synced(row)


async def outlines(db: AsyncConnection, connection_id: str, resource: str) -> list[Row[Any]]:
    """Return every item of a resource without its raw record, by parent, then id."""
    columns = ("id", "name", "parent_id", "url", "created_at", "modified_at")
    query = select(*(items.c[name] for name in columns)).where(
        items.c.connection_id == connection_id,
        items.c.resource == resource,
        items.c.deleted == False,  # noqa: E712  # SQL
    )
    parent = func.coalesce(items.c.parent_id, "")
    return list(await db.execute(query.order_by(parent, items.c.id)))


async def drop_generations(db: AsyncConnection, connection_id: str, *, up_to: int) -> None:
    """Delete the items of a disconnected connection, up to the given generation.

    Rows of deletions stay: without them nobody would notice an item that is appended after its own
    deletion.
    """
    closed = (
        (items.c.connection_id == connection_id) & (items.c.generation <= up_to) & ~items.c.deleted
    )
    await db.execute(delete(items).where(closed))


# Six filters and a start, each given or not, make 128 shapes: all of them fit.
@lru_cache(maxsize=512)
def _statement(given: frozenset[str]) -> CompiledSelect:
    """Return the page's statement. Six filters and the page token give 2^7 = 128 shapes at most."""
    conditions = {
        **{
            name: items.c[name] == bindparam(name)
            for name in ("connection_id", "org_id", "provider", "resource")
        },
        "name_folded": items.c.name_folded.like(bindparam("name_folded"), escape="/"),
        "synced_at": items.c.synced_at >= bindparam("synced_at"),
    }
    selected = select(_ANY_STALE, *_SHOWN).where(~items.c.deleted)
    selected = selected.where(
        *(condition for name, condition in conditions.items() if name in given)
    )
    if _AFTER[0] in given:
        selected = selected.where(_behind(given))
    order = (items.c[name] for name in _KEY)
    return CompiledSelect(selected.order_by(*order).suffix_with(_LIMIT))


def _behind(given: frozenset[str]) -> ColumnElement[bool]:
    """Return the condition that continues after the page token's key.

    Columns fixed by an equality are left out, as SQLite seeks by only one of the two.
    """
    behind = dict(zip(_KEY, _AFTER, strict=True))
    free = {name: parameter for name, parameter in behind.items() if name not in given}
    types = {name: items.c[name].type for name in free}
    return tuple_(*(items.c[name] for name in free)) > tuple_(
        *(bindparam(parameter, type_=types[name]) for name, parameter in free.items())
    )


def raw_json(item: SyncedItem) -> bytes:
    """Return ``raw`` as JSON, ``null`` if there is none."""
    return bytes(cast("msgspec.Raw", item.raw))


def _synced(row: Sequence[Any]) -> SyncedItem:
    """Return a row as an item.

    Its URL is safe to link, and ``raw`` is sent as the bytes that came in.
    """
    *values, synced_at = row
    values[_URL] = web_link(values[_URL])
    values[_RAW] = msgspec.Raw(values[_RAW] or b"null")
    truncated = values[_TRUNCATED]  # mostly empty
    values[_TRUNCATED] = msgspec.json.decode(truncated, type=tuple[str, ...]) if truncated else ()
    return SyncedItem(*values, synced_at=synced_at)
