"""Keep what a walk asks of each object: all properties by name, and how its link begins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote

import msgspec

from shared.connector import PartSchema

URL_ROOM: Final = 15_000
"""Bytes of a URL that property names may take at first. How many HubSpot's edge lets through is not
documented; it answers 414, with an HTML page, to what is too long. 954 properties of one account's
deals had 28,180 bytes."""
LEAST_ROOM: Final = 1_000
MOST_LISTS: Final = 2
"""Names that need more lists than this are named in the body of a batch read instead: then a page
takes two calls, however many names there are."""


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """Name what is asked of each object.

    ``names`` are those of all properties. ``link`` is a record's URL up to its id, None when it is
    unknown.
    """

    names: tuple[str, ...] = ()
    link: str | None = None

    @classmethod
    def from_schema(cls, schema: PartSchema | None) -> Columns:
        return msgspec.convert(schema or {}, cls)

    def schema(self) -> PartSchema:
        return {"names": list(self.names), "link": self.link}


def chunks(names: Iterable[str], room: int) -> Iterator[str]:
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
