"""Keep the state of a walk over a resource, all of which is in the cursor.

A walk survives restarts and moves between workers because nothing of it is anywhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote

import msgspec

from shared.connector import Cursor, Restart

URL_ROOM: Final = 7000
"""Bytes of a URL that property names may take. HubSpot's edge answers 414 (with an HTML page) at
about 8 kB, and there are accounts with a thousand properties: one was seen with 954 for deals."""


class Walk(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a walk.

    ``properties`` are comma-separated lists of names, one call each. ``link`` is a record's URL up
    to its id, None when it is unknown. ``after`` is HubSpot's own cursor, None on the first page.
    """

    properties: tuple[str, ...]
    link: str | None = None
    after: str | None = None

    @classmethod
    def start(cls, names: Iterable[str], link: str | None) -> Walk:
        """Return a walk that stands before its first page."""
        return cls(properties=tuple(chunks(names)), link=link)

    @classmethod
    def from_cursor(cls, cursor: Cursor) -> Walk:
        """Return the walk that ``cursor`` was made from.

        Raises:
            Restart: another version of this connector made it.
        """
        try:
            return msgspec.convert(cursor, cls)
        except msgspec.ValidationError as error:
            reason = "The saved cursor is in the form of another release; starting again."
            raise Restart(reason) from error

    def onward(self, after: str | None) -> Cursor | None:
        """Return the cursor of the page that begins at ``after``, None when there is none."""
        if after is None:
            return None
        return {"properties": list(self.properties), "link": self.link, "after": after}

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
