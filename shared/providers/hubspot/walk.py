"""Choose what a walk asks of each object: the names of its properties, and how its link begins."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from typing import Any, Final
from urllib.parse import quote

import msgspec

from shared.connector import LEFT_OUT, PartSchema

URL_ROOM: Final = 15_000
"""Bytes of a URL that property names may take at first. How many HubSpot's edge lets through is not
documented; it answers 414, with an HTML page, to what is too long. 954 properties of one account's
deals had 28,180 bytes."""
LEAST_ROOM: Final = 1_000
MOST_LISTS: Final = 2
"""Names that need more lists than this are named in the body of a batch read instead: then a page
takes two calls, however many names there are."""


STAGE_TIMES: Final = ("hs_v2_", "hs_date_entered_", "hs_date_exited_", "hs_time_in_")
"""Beginnings of the names of what HubSpot computes for each stage of each pipeline. 509 of one
account's 954 deal properties were such times."""
ASKED_IF_HIDDEN: Final = frozenset(
    {
        # Owners, pipelines, merges and attachments.
        *("hubspot_owner_id", "hs_all_owner_ids", "hs_user_ids_of_all_owners"),
        *("pipeline", "dealstage", "hs_pipeline", "hs_pipeline_stage"),
        *("hs_merged_object_ids", "hs_calculated_merged_vids"),
        "hs_attachment_ids",
        # What an item's name is made of.
        *("name", "domain", "firstname", "lastname", "email", "dealname"),
    }
)
"""Hidden properties that are asked for all the same: they say what an object belongs to."""


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """Name what is asked of each object.

    ``names`` are those of the properties asked for, ``left_out`` those of the others. ``link`` is a
    record's URL up to its id, None when it is unknown.
    """

    names: tuple[str, ...] = ()
    link: str | None = None
    left_out: tuple[str, ...] = ()

    @classmethod
    def from_schema(cls, schema: PartSchema | None) -> Columns:
        return msgspec.convert(schema or {}, cls)

    def lost(self, last: Columns) -> tuple[str, ...]:
        """Return the properties that were asked for last and that the account's list now lacks."""
        listed = {*self.names, *self.left_out}
        return tuple(name for name in last.names if name not in listed)

    def completed(self, last: Columns, there: Container[str]) -> Columns:
        """Return the columns with what is missing from them by mistake.

        That is a link that could not be had, and the lost properties that are still ``there``.
        """
        found = tuple(name for name in self.lost(last) if name in there)
        return Columns(
            names=(*self.names, *found), link=self.link or last.link, left_out=self.left_out
        )

    def schema(self) -> PartSchema:
        return {"names": list(self.names), "link": self.link, LEFT_OUT: list(self.left_out)}


def chosen(definitions: Iterable[Any], *, link: str | None, all_fields: bool) -> Columns:
    """Return which properties to ask for, of all that an account defines.

    ``definitions`` are the rows of HubSpot's properties endpoint. With ``all_fields`` none is left
    out.
    """
    named = [(row["name"], row) for row in definitions if _has_name(row)]
    left_out = [name for name, row in named if not all_fields and is_left_out(name, row)]
    names = [name for name, row in named if all_fields or not is_left_out(name, row)]
    return Columns(names=tuple(names), link=link, left_out=tuple(left_out))


def names_of(definitions: Iterable[Any]) -> list[str]:
    """Return the names of properties, given the rows of HubSpot's properties endpoint."""
    return [row["name"] for row in definitions if _has_name(row)]


def _has_name(row: Any) -> bool:
    return isinstance(row, dict) and isinstance(row.get("name"), str)


def is_left_out(name: str, definition: dict[str, Any]) -> bool:
    """Return whether a property is not asked for: a time of a stage, or hidden from people."""
    if name.startswith(STAGE_TIMES):
        return True
    if definition.get("hidden") is not True or name in ASKED_IF_HIDDEN:
        return False
    # Accounts may define properties of their own that hold an owner.
    return definition.get("referencedObjectType") != "OWNER"


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
