"""Keep the state of a walk over bases, tables and records, all of which is in the cursor."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from shared.connector import Cursor, Reject
from shared.providers.airtable.mapping import AirtableTable, WalkedTable, shorten

FIELDS_KEPT: Final = 2_000
"""A cursor holds at most so many field names, since it is saved after every page. The tables beyond
are asked for again when their turn comes."""


class Walk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The state of a walk: ``bases`` and ``tables`` are yet to be read, the current one first.

    ``more`` is the offset of the next page of bases. ``left`` are the ids of those tables of this
    base whose fields are not kept here. ``offset`` is the cursor within the first table, and
    ``again`` counts how often that table was started again.
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
            reason = f"The saved cursor cannot be read: {error}. Start another sync."
            raise Reject(reason, code="bad_cursor") from None

    def cursor(self) -> Cursor | None:
        """Return the walk as a cursor, None when nothing is left to read."""
        if not (self.more or self.bases):
            return None
        built: dict[str, Any] = msgspec.to_builtins(self)
        return built

    def listed(self, bases: list[tuple[str, str]], more: str | None) -> Walk:
        return Walk(more=more, bases=tuple((id_, shorten(name)[:60]) for id_, name in bases))

    def opened(self, schemas: list[AirtableTable]) -> Walk:
        """Return the walk with the first base's tables to read: all of them, or those left."""
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
        """Return the walk after a page of the first table whose next cursor is ``offset``."""
        return msgspec.structs.replace(self, offset=offset) if offset else self.next_table()

    def anew(self) -> Walk:
        """Return the walk at the start of its first table."""
        return msgspec.structs.replace(self, offset=None, again=self.again + 1)
