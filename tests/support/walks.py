"""Walk a provider through its connector as the fetcher does: part by part, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from shared.connector import Call, Connector, Cursor, Page, Part, PartSchema, Place

SIZE: Final = 100
MOST_PAGES: Final = 2_000


class Read(NamedTuple):
    """A page, and the place at which it was read."""

    place: Place
    page: Page


@dataclass
class Schemas:
    """Read each schema once, as a job does."""

    connector: Connector
    call: Call
    resource: str
    kept: dict[str, PartSchema] = field(default_factory=dict)

    async def place(self, part: Part, cursor: Cursor | None = None, *, size: int = SIZE) -> Place:
        """Return a place with its schema."""
        key = part.schema
        if key is not None and key not in self.kept:
            self.kept[key] = await self.connector.schema(self.call, self.resource, part)
        schema = None if key is None else self.kept[key]
        return Place(part=part, cursor=cursor, size=size, schema=schema)


async def first_page(connector: Connector, call: Call, resource: str) -> Page:
    """Return the first page of the part with which a walk begins."""
    schemas = Schemas(connector, call, resource)
    place = await schemas.place(connector.parts(resource)[0])
    return await connector.page(call, resource, place)


async def walked(connector: Connector, call: Call, resource: str) -> list[Read]:
    """Return every page of a resource, each cursor taken through JSON."""
    return [read async for read in walk(connector, call, resource)]


async def walk(connector: Connector, call: Call, resource: str) -> AsyncIterator[Read]:
    """Yield one page after the other, so that something can happen in between."""
    schemas = Schemas(connector, call, resource)
    left = {part.id: part for part in connector.parts(resource)}
    met, count = set(left), 0
    while left:
        # Parts with records come before those that only name others.
        part = min(left.values(), key=lambda one: one.lists)
        cursor: Cursor | None = None
        while True:
            count += 1
            assert count < MOST_PAGES, "the walk does not end"
            place = await schemas.place(part, cursor)
            page = await connector.page(call, resource, place)
            yield Read(place, page)
            schemas.kept |= page.schemas
            left |= {one.id: one for one in page.parts if one.id not in met}
            met |= {one.id for one in page.parts}
            if page.cursor is None:
                break
            cursor = msgspec.json.decode(msgspec.json.encode(page.cursor))
        del left[part.id]
