"""Where a walk over a resource stands: all of it is in the cursor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote

import msgspec

from shared.connector import Cursor, Restart

URL_ROOM: Final = 7000
"""Bytes of a URL for property names: the edge answers 414 at about 8 kB, and accounts with a thousand exist."""


class Walk(msgspec.Struct, frozen=True, kw_only=True):
    """``properties`` are comma lists, one call each; ``link`` is a record's URL up to its id, None when it is unknown.

    ``after`` is HubSpot's own cursor, None on the first page.
    """

    properties: tuple[str, ...]
    link: str | None = None
    after: str | None = None

    @classmethod
    def start(cls, names: Iterable[str], link: str | None) -> Walk:
        return cls(properties=tuple(chunks(names)), link=link)

    @classmethod
    def from_cursor(cls, cursor: Cursor) -> Walk:
        """Return the walk that ``cursor`` was made from.

        Raises:
            Restart: it was made by another version of this connector.
        """
        try:
            return msgspec.convert(cursor, cls)
        except msgspec.ValidationError as error:
            raise Restart("The place this walk had come to was noted in another form.") from error

    def onward(self, after: str | None) -> Cursor | None:
        """Return the cursor of the page that begins at ``after``, None when there is none."""
        if after is None:
            return None
        return {"properties": list(self.properties), "link": self.link, "after": after}

    @property
    def names(self) -> list[str]:
        return [name for chunk in self.properties for name in chunk.split(",") if name]


def chunks(names: Iterable[str], room: int = URL_ROOM) -> Iterator[str]:
    """Yield comma lists that take at most ``room`` bytes each in a URL; one at least."""
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
