"""Keep the place in the rows of one data source: the cursor, as a value that only moves forward."""

from __future__ import annotations

import msgspec

from shared.connector import Cursor, Restart


class Rows(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The place in a data source. ``at`` is Notion's cursor within the present query.

    A query ends after 10,000 rows. Rows come by creation time, so the next query asks for those
    created since the last one: ``since`` is the time at which the present query began, ``last`` the
    time of the newest row so far, and ``capped`` says that the query is cut off.
    """

    at: str | None = None
    since: str | None = None
    last: str | None = None
    capped: bool = False

    @classmethod
    def from_cursor(cls, cursor: Cursor | None) -> Rows:
        """Return the place that ``cursor`` was made from, the beginning for None.

        Raises:
            Restart: another version of this connector made it.
        """
        try:
            return msgspec.convert(cursor or {}, cls)
        except msgspec.ValidationError as error:
            reason = "The saved cursor is in the form of another release; starting again."
            raise Restart(reason) from error

    def after(
        self, at: str | None, last: str | None, *, capped: bool
    ) -> tuple[Cursor | None, str | None]:
        """Return the cursor after a page of rows, and why the rest cannot be read, if it cannot.

        ``at`` is Notion's cursor of the next page, ``last`` the creation time of its newest row.
        """
        # Any page of a query may say that the query is cut off, and it holds for all of them.
        last, capped = last or self.last, capped or self.capped
        if at is not None:
            return Rows(at=at, since=self.since, last=last, capped=capped).cursor(), None
        if not capped:
            return None, None
        # Notion rounds times to the minute. A query that began in the minute in which it ended
        # would return the same rows for ever.
        if last is None or last == self.since:
            reason = (
                f"It has more than 10,000 rows created in the minute of {last or self.since}. "
                "Notion gives no way to read the rest of them, or rows created later."
            )
            return None, reason
        return Rows(since=last).cursor(), None

    def cursor(self) -> Cursor:
        built: Cursor = msgspec.to_builtins(self)
        return built
