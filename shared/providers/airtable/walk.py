"""Where a walk over bases, tables and records stands: all of it is in the cursor."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from shared.connector import Cursor, Reject
from shared.providers.airtable.mapping import AirtableTable, WalkedTable, shorten

FIELDS_KEPT: Final = 2_000
"""So many field names a cursor holds at most; the tables beyond are asked for again when their turn comes."""


class Walk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``bases`` and ``tables`` are what is yet to be read, the current one first.

    ``more`` is the offset of the next page of bases, ``left`` the ids of tables of this base whose fields are not
    kept here, ``offset`` stands in the first table, ``again`` counts how often that table was started anew.
    """

    more: str | None = None
    bases: tuple[tuple[str, str], ...] = ()
    tables: tuple[WalkedTable, ...] = ()
    left: tuple[str, ...] = ()
    offset: str | None = None
    again: int = 0

    @classmethod
    def from_cursor(cls, cursor: Cursor | None) -> Walk:
        try:
            return msgspec.convert(cursor or {}, cls)
        except msgspec.ValidationError as error:
            raise Reject(f"the saved position cannot be read: {error}", code="bad_cursor") from None

    def cursor(self) -> Cursor | None:
        """None when nothing is left to read."""
        if not (self.more or self.bases):
            return None
        built: dict[str, Any] = msgspec.to_builtins(self)
        return built

    def listed(self, bases: list[tuple[str, str]], more: str | None) -> Walk:
        return Walk(more=more, bases=tuple((id_, shorten(name)[:60]) for id_, name in bases))

    def opened(self, schemas: list[AirtableTable]) -> Walk:
        """With the first base's tables to read: all of them, or those that were left."""
        wanted = set(self.left)
        tables = [WalkedTable.of(schema) for schema in schemas if not wanted or schema.id in wanted]
        kept, fields = 0, 0
        for table in tables:
            fields += len(table.names)
            if kept and fields > FIELDS_KEPT:
                break
            kept += 1
        if not kept:
            return self.next_base()
        left = tuple(table.id for table in tables[kept:])
        return msgspec.structs.replace(
            self, tables=tuple(tables[:kept]), left=left, offset=None, again=0
        )

    def next_base(self) -> Walk:
        return Walk(more=self.more, bases=self.bases[1:])

    def next_table(self) -> Walk:
        if len(self.tables) == 1 and not self.left:
            return self.next_base()
        return msgspec.structs.replace(self, tables=self.tables[1:], offset=None, again=0)

    def onward(self, offset: str | None) -> Walk:
        """After a page of the first table."""
        return msgspec.structs.replace(self, offset=offset) if offset else self.next_table()

    def anew(self) -> Walk:
        """The first table from its start."""
        return msgspec.structs.replace(self, offset=None, again=self.again + 1)
