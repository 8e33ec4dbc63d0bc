"""Name the parts of a walk: the list of bases, each base, each table."""

from __future__ import annotations

from typing import Any, Final

from shared.connector import Cursor, Part
from shared.providers.airtable import mapping
from shared.providers.airtable.mapping import AirtableBase, WalkedTable

BASES: Final = Part(id="bases", name="the list of bases")
"""Reads the bases as records; the ids of other parts begin with ``app``."""
LIST_OF_BASES: Final = Part(id=BASES.id, name=BASES.name, lists=True)
"""Reads the bases only to name them as parts."""


def base_part(base: AirtableBase, *, lists: bool) -> Part:
    name = mapping.called(base.name) or base.id
    return Part(id=base.id, name=f"base “{name}”", lists=lists)


def table_part(base: Part, table: WalkedTable) -> Part:
    """Return a table as a part; all tables of a base share its schema."""
    return Part(
        id=f"{base.id}/{table.id}", name=f"table “{table.name}” of {base.name}", schema=base.id
    )


def base_and_table(part: Part) -> tuple[str, str]:
    """Return the two ids of a table's part; the second is empty for a base."""
    base, _, table = part.id.partition("/")
    return base, table


def following(body: dict[str, Any]) -> Cursor | None:
    """Return the cursor of the page after this one, None on the last.

    Raises:
        RetryLater: its offset is no string.
    """
    offset = mapping.next_offset(body)
    return None if offset is None else {"offset": offset}
