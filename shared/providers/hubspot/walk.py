"""Keep what a walk asks of each object: all properties by name, and how its link begins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote

import msgspec

from shared.connector import Schema

URL_ROOM: Final = 7000
"""Bytes of a URL that property names may take. HubSpot's edge answers 414 (with an HTML page) at
about 8 kB, and there are accounts with a thousand properties: one was seen with 954 for deals."""


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """Name what is asked of each object.

    ``properties`` are comma-separated lists of names, one call each. ``link`` is a record's URL up
    to its id, None when it is unknown.
    """

    properties: tuple[str, ...]
    link: str | None = None

    @classmethod
    def of(cls, names: Iterable[str], link: str | None) -> Columns:
        return cls(properties=tuple(chunks(names)), link=link)

    @classmethod
    def from_schema(cls, schema: Schema | None) -> Columns:
        return msgspec.convert(schema or {"properties": [""]}, cls)

    def schema(self) -> Schema:
        return {"properties": list(self.properties), "link": self.link}

    @property
    def names(self) -> list[str]:
        """Return the names of all properties."""
        return [name for name in ",".join(self.properties).split(",") if name]


def chunks(names: Iterable[str], room: int = URL_ROOM) -> Iterator[str]:
    """Yield ``names`` as comma-separated lists of at most ``room`` bytes each, as a URL has them.

    There is always one list, even an empty one. A name longer than ``room`` has a list to itself.
    """
    chunk: list[str] = []
    size = 0
    for name in names:
        width = len(quote(name, safe="")) + len("%2C")
        if chunk and size + width > room:
            yield ",".join(chunk)
            chunk, size = [], 0
        chunk.append(name)
        size += width
    yield ",".join(chunk)
