"""Where a walk stands: the cursor of every resource, as a value that only moves forward."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from shared.connector import Cursor, Restart

MOST_REASONS: Final = 5


class Walk(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """``at`` is Notion's cursor within the stage; ``source`` the index in ``sources`` of the one being queried.

    A query ends after 10,000 rows. Rows come by creation time, so the next query asks for those created since the last
    one seen: ``since`` is where the present query began, ``last`` the newest row so far, ``capped`` that it is cut off.
    ``left`` says what could not be read; it is reported once everything else has been.
    """

    stage: Literal["search", "sources", "rows", "left"] = "search"
    at: str | None = None
    sources: list[str] = []
    source: int = 0
    since: str | None = None
    last: str | None = None
    capped: bool = False
    left: list[str] = []

    @classmethod
    def from_cursor(cls, cursor: Cursor | None) -> Walk:
        """Return the walk that ``cursor`` was made from, a new one for None.

        Raises:
            Restart: it was made by another version of this connector.
        """
        try:
            return msgspec.convert(cursor or {}, cls)
        except msgspec.ValidationError as error:
            raise Restart("The place this walk had come to was noted in another form.") from error

    def at_place(self, at: str) -> Walk:
        return replace(self, at=at)

    def noting(self, reason: str) -> Walk:
        if reason in self.left or len(self.left) >= MOST_REASONS:
            return self
        return replace(self, left=[*self.left, reason])

    def knowing(self, ids: Iterable[str]) -> Walk:
        """With these data sources, in the order they were met, each once."""
        sources = list(dict.fromkeys([*self.sources, *ids]))
        return self if len(sources) == len(self.sources) else replace(self, sources=sources)

    def to_sources(self) -> Walk:
        return replace(self, stage="sources", at=None)

    def to_rows(self) -> Walk | None:
        return self._start_source(0)

    def to_next_source(self) -> Walk | None:
        return self._start_source(self.source + 1)

    def after_rows(self, at: str | None, last: str | None, *, capped: bool) -> Walk | None:
        """What follows a page of rows whose next cursor is ``at`` and whose newest row is ``last``.

        The limit may be told on any page of a query, and holds for all of it.
        """
        last, capped = last or self.last, capped or self.capped
        if at is not None:
            return replace(self, at=at, last=last, capped=capped)
        if not capped:
            return self.to_next_source()
        if last is None or last == self.since:
            return self.noting(
                f"The data source {self.sources[self.source]} has over 10,000 rows created in the minute of "
                f"{last or self.since}: Notion gives no way to read the others, or what was created later."
            ).to_next_source()
        return replace(self, at=None, since=last, last=None, capped=False)

    def end(self) -> Walk | None:
        return Walk(stage="left", left=self.left) if self.left else None

    def _start_source(self, source: int) -> Walk | None:
        if source >= len(self.sources):
            return self.end()
        return replace(
            self, stage="rows", at=None, source=source, since=None, last=None, capped=False
        )
