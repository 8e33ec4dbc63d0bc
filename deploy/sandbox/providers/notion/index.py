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
    """Index the live rows, and those in the trash.

    It keeps the rows it was made from and compares them by identity, which finds every change.
    """

    def __init__(self, rows: Rows) -> None:
        self.seen = _all(rows)
        self.by_id = {row.id: row for row in self.seen}
        self._sources = {id_ for id_, row in rows["data_sources"].items() if not row.archived}
        self._pages = [row for row in rows["pages"].values() if not row.archived]
        self._trash = {"page": _archived(rows, "pages")}
        self._trash["data_source"] = _archived(rows, "data_sources")
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

    def trashed(self, kind: str, time: str) -> list[Key]:
        """Return what search finds in the trash, with kinds as for ``found``."""
        return self._order(f"trashed {kind}", time, lambda: self._trashed(kind))

    def trashed_rows_of(self, source: str, time: str) -> list[Key]:
        inside = (row for row in self._trash["page"] if source_of(row) == source)
        return self._order(f"trashed in {source}", time, lambda: list(inside))

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

    def _trashed(self, kind: str) -> list[SandboxRow]:
        kinds = self._trash if kind not in self._trash else {kind: self._trash[kind]}
        return [row for rows in kinds.values() for row in rows]

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


def _archived(rows: Rows, resource: str) -> list[SandboxRow]:
    return [row for row in rows[resource].values() if row.archived]
