"""Where an account's rows stand in each listing, worked out once and again whenever a row has changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import cached_property
from operator import attrgetter, is_

from deploy.sandbox.providers.notion.paging import Key
from deploy.sandbox.providers.notion.rows import source_of
from deploy.sandbox.world import Rows, SandboxRow, World


class Index:
    """Live rows only. Holds the rows it was made from, so that comparing them by identity finds every change."""

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
        """What search finds: ``page`` or ``data_source``, anything else for both."""
        return self._order(f"found {kind}", time, lambda: self._findable(kind))

    def rows_of(self, source: str, time: str) -> list[Key]:
        return self._order(source, time, lambda: self._members.get(source, []))

    def users(self) -> list[Key]:
        return self._order("users", "created_time", lambda: self._users)

    def _findable(self, kind: str) -> list[SandboxRow]:
        sources = [] if kind == "page" else [self.by_id[id_] for id_ in self._sources]
        # A row that no query would give has to be found here.
        pages = (
            page
            for page in self._pages
            if not page.body["hidden"] or source_of(page) not in self._sources
        )
        return sources if kind == "data_source" else [*sources, *pages]

    def _order(self, name: str, time: str, rows: Callable[[], list[SandboxRow]]) -> list[Key]:
        if (name, time) not in self._orders:
            key = {
                "created_time": attrgetter("created"),
                "last_edited_time": attrgetter("modified"),
            }.get(time)
            self._orders[name, time] = sorted((key(row) if key else "", row.id) for row in rows())
        return self._orders[name, time]


class Indexes:
    """The index of every account of a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._made: dict[str, Index] = {}

    def of(self, account: str) -> Index:
        rows = self._world.all_rows(account)
        made = self._made.get(account)
        if made is None or not made.still(rows):
            made = self._made[account] = Index(rows)
        return made


def _all(rows: Rows) -> list[SandboxRow]:
    return [row for kind in rows.values() for row in kind.values()]
