"""Rows by many keys of which all but the last column are the same, found by the index, key by key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import JSON, Column, Select, Text, bindparam, cast, func, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db.among import among, listed


class Keyed:
    """``columns`` of one table's rows, by its primary key: the last part among many values, the others given by name.

    PostgreSQL knows nothing of a lane that has just been opened, takes it to have one row, and then prefers to compare
    each row of the lane with each value: 20 ms for a page when there are ten thousand. Behind the fence of OFFSET it
    looks for one whole key at a time.
    """

    def __init__(self, *columns: Column[Any]) -> None:
        *others, last = columns[0].table.primary_key
        within = [column == bindparam(column.name) for column in others]
        ids = bindparam("ids", type_=Text)
        asked = select(func.json_array_elements_text(cast(ids, JSON)).label("value")).subquery("asked")
        found = select(*columns).where(*within, last == asked.c.value).offset(0).lateral("found")
        self._statements: Mapping[str, Select[Any]] = {
            "sqlite": select(*columns).where(*within, among(last, ids)),
            "postgresql": select(found).select_from(asked.join(found, true())),
        }

    async def rows(self, db: AsyncConnection, given: Mapping[str, Any], ids: Iterable[str]) -> Sequence[Any]:
        """Rows with ``columns``; ``given`` has the other parts of the key."""
        rows: Sequence[Any] = (await db.execute(self._statements[db.dialect.name], {**given, "ids": listed(ids)})).all()
        return rows
