"""Index an account's rows for each listing, and rebuild the index when a row has changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import cached_property
from operator import attrgetter, is_
from typing import Final

from deploy.sandbox.providers.notion.paging import Key
from deploy.sandbox.providers.notion.rows import source_of
from deploy.sandbox.world import Rows, SandboxRow


def _unsorted(_: SandboxRow) -> str:
    return ""


SORT_KEYS: Final[dict[str, Callable[[SandboxRow], str]]] = {
    "created_time": attrgetter("created"),
    "last_edited_time": attrgetter("modified"),
}


class Index:
    """Index the live rows.

    It keeps the rows it was made from and compares them by identity, which finds every change.
    """

    def __init__(self, rows: Rows) -> None:
        self.seen = _all(rows)
        self.by_id = {row.id: row for row in self.seen if not row.archived}
        self._sources = {id_ for id_, row in rows["data_sources"].items() if not row.archived}
        self._pages = [row for row in rows["pages"].values() if not row.archived]
        self._orders: dict[tuple[str, str], list[Key]] = {}
        self._users = [row for row in rows["users"].values() if not row.archived]

    def still(self, rows: Rows) -> bool:
        now = _all(rows)
        return len(now) == len(self.seen) and all(map(is_, now, self.seen))

    @cached_property
    def _members(self) -> dict[str, list[SandboxRow]]:
        members: dict[str, list[SandboxRow]] = defaultdict(list)
        for row in self._pages:
            members[source_of(row) or ""].append(row)
        return members

    def found(self, kind: str, time: str) -> list[Key]:
        """Return what search finds: ``page`` or ``data_source``; any other kind means both."""
        return self._order(f"found {kind}", time, lambda: self._findable(kind))

    def rows_of(self, source: str, time: str) -> list[Key]:
        return self._order(source, time, lambda: self._members.get(source, []))

    def users(self) -> list[Key]:
        return self._order("users", "created_time", lambda: self._users)

    def _findable(self, kind: str) -> list[SandboxRow]:
        sources = [] if kind == "page" else [self.by_id[id_] for id_ in self._sources]
        # A row that no query returns has to be found by search.
        pages = (
            page
            for page in self._pages
            if not page.body["hidden"] or source_of(page) not in self._sources
        )
        return sources if kind == "data_source" else [*sources, *pages]

    def _order(self, name: str, time: str, rows: Callable[[], list[SandboxRow]]) -> list[Key]:
        if (name, time) not in self._orders:
            key = SORT_KEYS.get(time, _unsorted)
            self._orders[name, time] = sorted((key(row), row.id) for row in rows())
        return self._orders[name, time]


class Indexes:
    """Hold an index of every account; ``rows_of`` returns the rows of one."""

    def __init__(self, rows_of: Callable[[str], Rows]) -> None:
        self._rows_of = rows_of
        self._made: dict[str, Index] = {}

    def of(self, account: str) -> Index:
        rows = self._rows_of(account)
        made = self._made.get(account)
        if made is None or not made.still(rows):
            made = self._made[account] = Index(rows)
        return made


def _all(rows: Rows) -> list[SandboxRow]:
    return [row for kind in rows.values() for row in kind.values()]
