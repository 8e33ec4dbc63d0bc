"""Items in the shape of the original app: 14 fields, always all of them, in this order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.store import items
from services.gateway.views import web_link
from shared.connector import Original, Provider


class OriginalItem(msgspec.Struct, frozen=True, kw_only=True):
    id: str | None = None
    type: str | None = None
    directory: bool = False
    parent_path_or_name: str | None = None
    parent_id: str | None = None
    name: str | None = None
    creation_time: str | None = None
    last_modified_time: str | None = None
    url: str | None = None
    children: list[str] | None = None
    mime_type: str | None = None
    delta: str | None = None
    drive_id: str | None = None
    visibility: bool = True


async def original_rows(db: AsyncConnection, connection: str, provider: Provider) -> list[OriginalItem]:
    """One row per item of every resource, in resource order, then parent, then id."""
    parents = {one.original.parent_resource for one in provider.resources}
    names: dict[str, dict[str, str]] = {}
    rows: list[OriginalItem] = []
    for resource in provider.resources:
        found = await items.outlines(db, connection, resource.slug)
        if resource.slug in parents:
            names[resource.slug] = {row.id: row.name for row in found}
        rows += _shown(found, resource.original, names.get(resource.original.parent_resource or "", {}))
    return rows


def _shown(found: Sequence[Any], original: Original, parents: Mapping[str, str]) -> Iterator[OriginalItem]:
    for row in found:
        known: dict[str, str | None] = {
            "id": row.id,
            "last": _last(row.id),
            "name": row.name,
            "parent_id": row.parent_id,
            "parent_last": _last(row.parent_id),
            "parent_name": parents.get(row.parent_id or ""),
        }
        yield OriginalItem(
            id=_filled(original.id, known),
            type=original.type,
            parent_path_or_name=_filled(original.parent_path_or_name, known),
            parent_id=_filled(original.parent_id, known),
            name=_filled(original.name, known),
            creation_time=row.created,
            last_modified_time=row.modified,
            url=web_link(row.url),
        )


def _last(id_: str | None) -> str | None:
    return None if id_ is None else id_.rpartition("/")[2]


def _filled(template: str | None, known: Mapping[str, str | None]) -> str | None:
    """None when the template, or anything it names, is absent."""
    if template is None or any(value is None and f"{{{name}}}" in template for name, value in known.items()):
        return None
    return template.format_map(known)
