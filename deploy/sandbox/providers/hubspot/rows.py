"""Rows in the order of their ids, and as the API shows them."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

import msgspec

from deploy.sandbox.providers.hubspot.answers import invalid
from deploy.sandbox.providers.hubspot.catalogue import DEFAULTS, MODIFIED, property_types
from deploy.sandbox.providers.hubspot.data import properties
from deploy.sandbox.world import Row, World

WITH_HISTORY = 50
"""Earlier values are costly: only half as many objects may be asked for with them."""


class Wanted(msgspec.Struct, frozen=True):
    """Which properties an answer shows; ``history`` those with their earlier values."""

    names: tuple[str, ...]
    history: tuple[str, ...] = ()


def wanted(resource: str, names: list[str], history: list[str], count: int) -> Wanted:
    """Any named property replaces the defaults, the system's three stay, unknown names are ignored.

    Raises:
        Refused: ``count`` objects are too many to be shown with their history.
    """
    if history and count > WITH_HISTORY:
        raise invalid(f"At most {WITH_HISTORY} objects can be read with propertiesWithHistory, {count} were asked for.")
    types, system = property_types(resource), ("createdate", MODIFIED[resource], "hs_object_id")
    asked = dict.fromkeys((*(names or DEFAULTS[resource]), *system))
    return Wanted(tuple(name for name in asked if name in types), tuple(name for name in history if name in types))


def shown(row: Row, resource: str, want: Wanted) -> dict[str, Any]:
    """A row in an answer: property values are strings or null."""
    value = properties(row, resource).get
    body: dict[str, Any] = {
        "id": row.id,
        "properties": {name: value(name) for name in want.names},
        "createdAt": row.created,
        "updatedAt": row.modified,
        "archived": row.archived,
    }
    if row.archived:
        # Archiving does not touch the modified time, and when it happened is not kept here.
        body["archivedAt"] = row.modified
    if want.history:
        at = {"timestamp": row.modified, "sourceType": "CRM_UI"}
        body["propertiesWithHistory"] = {name: [{"value": value(name), **at}] for name in want.history}
    return body


class Shelf:
    """Pages by ascending id. A cursor is the smallest id still to come: archiving between pages skips nothing."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._ids: dict[tuple[str, str], list[int]] = {}

    def page(
        self, account: str, resource: str, *, after: int, limit: int, archived: bool
    ) -> tuple[list[Row], int | None]:
        """At most ``limit`` rows from id ``after`` on, and the cursor of the next page if there is one."""
        rows, ids = self._world.rows(account, resource), self._ordered(account, resource)
        found: list[Row] = []
        for n in range(bisect_left(ids, after), len(ids)):
            row = rows[str(ids[n])]
            if row.archived is not archived:
                continue
            if len(found) == limit:
                return found, int(found[-1].id) + 1
            found.append(row)
        return found, None

    def live(self, account: str, resource: str) -> list[Row]:
        rows = self._world.rows(account, resource)
        return [row for id_ in self._ordered(account, resource) if not (row := rows[str(id_)]).archived]

    def _ordered(self, account: str, resource: str) -> list[int]:
        """Rows come, but never go: their number says whether the order is still right."""
        rows, ids = self._world.rows(account, resource), self._ids.get((account, resource))
        if ids is None or len(ids) != len(rows):
            ids = self._ids[account, resource] = sorted(map(int, rows))
        return ids
