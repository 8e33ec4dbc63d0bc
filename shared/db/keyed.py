"""Rows by many keys of which all but the last column are the same, found by the index, key by key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import JSON, Column, ColumnElement, Select, Text, bindparam, cast, func, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.among import among, listed


class Keyed:
    """``columns`` of the rows that satisfy ``within`` and whose ``last`` is among the given values.

    PostgreSQL knows nothing of a lane that has just been opened, takes it to have one row, and then prefers to compare
    each row of the lane with each value: 20 ms for a page when there are ten thousand. Behind the fence of OFFSET it
    looks for one whole key at a time.
    """

    def __init__(self, *columns: Column[Any], within: Sequence[ColumnElement[bool]], last: Column[Any]) -> None:
        ids = bindparam("ids", type_=Text)
        asked = select(func.json_array_elements_text(cast(ids, JSON)).label("value")).subquery("asked")
        found = select(*columns).where(*within, last == asked.c.value).offset(0).lateral("found")
        self._statements: Mapping[str, Select[Any]] = {
            "sqlite": select(*columns).where(*within, among(last, ids)),
            "postgresql": select(found).select_from(asked.join(found, true())),
        }

    async def rows(self, db: AsyncConnection, given: Mapping[str, Any], ids: Iterable[str]) -> Sequence[Any]:
        """Rows with ``columns``; ``given`` are the parameters of ``within``."""
        rows: Sequence[Any] = (await db.execute(self._statements[db.dialect.name], {**given, "ids": listed(ids)})).all()
        return rows
