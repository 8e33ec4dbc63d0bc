"""Keep the state of a walk: the cursor of every resource, as a value that only moves forward.

``connector`` says which stages there are; this module says what follows what.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from shared.connector import Cursor, Restart

MOST_REASONS: Final = 5
"""The most reasons that are kept: people read them, joined into one text."""


class Walk(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The state of a walk.

    ``at`` is Notion's cursor within the stage, ``source`` the index in ``sources`` of the data
    source that is being queried.

    A query ends after 10,000 rows. Rows come by creation time, so the next query asks for those
    created since the last one: ``since`` is the time at which the present query began, ``last`` the
    time of the newest row so far, and ``capped`` says that the query is cut off.

    ``left`` says what could not be read. It is reported once everything else has been.
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
            Restart: another version of this connector made it.
        """
        try:
            return msgspec.convert(cursor or {}, cls)
        except msgspec.ValidationError as error:
            reason = "The saved cursor is in the form of another release; starting again."
            raise Restart(reason) from error

    def at_place(self, at: str) -> Walk:
        return replace(self, at=at)

    def noting(self, reason: str) -> Walk:
        """Return the walk with ``reason`` among what was left."""
        if reason in self.left or len(self.left) >= MOST_REASONS:
            return self
        return replace(self, left=[*self.left, reason])

    def knowing(self, ids: Iterable[str]) -> Walk:
        """Return the walk with these data sources too: each once, in the order of discovery."""
        sources = list(dict.fromkeys([*self.sources, *ids]))
        return replace(self, sources=sources)

    def to_sources(self) -> Walk:
        return replace(self, stage="sources", at=None)

    def to_rows(self) -> Walk | None:
        return self._start_source(0)

    def to_next_source(self) -> Walk | None:
        return self._start_source(self.source + 1)

    def after_rows(self, at: str | None, last: str | None, *, capped: bool) -> Walk | None:
        """Return what follows a page of rows whose next cursor is ``at``.

        ``last`` is the creation time of its newest row.
        """
        # Any page of a query may say that the query is cut off, and it holds for all of them.
        last, capped = last or self.last, capped or self.capped
        if at is not None:
            return replace(self, at=at, last=last, capped=capped)
        if not capped:
            return self.to_next_source()
        # Notion rounds times to the minute. A query that began in the minute in which it ended
        # would
        # return the same rows for ever.
        if last is None or last == self.since:
            reason = (
                f"The data source {self.sources[self.source]} has more than 10,000 rows created "
                f"in the minute of {last or self.since}. Notion gives no way to read the rest of "
                "them, or rows created later."
            )
            return self.noting(reason).to_next_source()
        return replace(self, at=None, since=last, last=None, capped=False)

    def end(self) -> Walk | None:
        """Return the stage that reports what was left, None when all was read."""
        return Walk(stage="left", left=self.left) if self.left else None

    def _start_source(self, source: int) -> Walk | None:
        if source >= len(self.sources):
            return self.end()
        return replace(
            self, stage="rows", at=None, source=source, since=None, last=None, capped=False
        )
