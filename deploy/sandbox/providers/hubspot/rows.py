"""Page through rows in the order of their ids."""

from __future__ import annotations

from bisect import bisect_left

from deploy.sandbox.world import SandboxRow, World


class SortedRows:
    """Page by ascending id.

    A cursor is the smallest id still to come, so archiving between two pages skips nothing.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._ids: dict[tuple[str, str], list[int]] = {}

    def page(
        self, account: str, resource: str, *, after: int, limit: int, archived: bool
    ) -> tuple[list[SandboxRow], int | None]:
        """Return up to ``limit`` rows from id ``after`` on, and the next page's cursor, if any."""
        rows, ids = self._world.rows(account, resource), self._ordered(account, resource)
        found: list[SandboxRow] = []
        for n in range(bisect_left(ids, after), len(ids)):
            row = rows[str(ids[n])]
            if row.archived is not archived or "merged_into" in row.body:
                continue
            if len(found) == limit:
                return found, int(found[-1].id) + 1
            found.append(row)
        return found, None

    def indexed(self, account: str, resource: str) -> list[SandboxRow]:
        """Return the live rows as the search index has them."""
        rows = self._world.indexed(account)[resource]
        lags = self._world.index_lags
        ids = sorted(map(int, rows)) if lags else self._ordered(account, resource)
        return [row for id_ in ids if not (row := rows[str(id_)]).archived]

    def _ordered(self, account: str, resource: str) -> list[int]:
        """Return all ids in order; rows are only ever added, so a new count means new ids."""
        rows, ids = self._world.rows(account, resource), self._ids.get((account, resource))
        if ids is None or len(ids) != len(rows):
            ids = self._ids[account, resource] = sorted(map(int, rows))
        return ids
