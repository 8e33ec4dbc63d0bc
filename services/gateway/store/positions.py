"""How far each topic was read, in the transaction of what was read: after any restart reading goes on from there."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.tables import positions

_SAVE = upsert(positions)
_SAVE = _SAVE.on_conflict_do_update(
    index_elements=["topic", "partition"], set_={"next": _SAVE.excluded.next, "log": _SAVE.excluded.log}
)


async def load(db: AsyncConnection, topic: str, log: str) -> dict[int, int]:
    """Partition → next offset, of this log only: another log starts from 0."""
    query = select(positions.c.partition, positions.c.next).where(positions.c.topic == topic, positions.c.log == log)
    return {row.partition: row.next for row in await db.execute(query)}


async def save(db: AsyncConnection, topic: str, log: str, read: Mapping[int, int]) -> None:
    rows = [{"topic": topic, "partition": p, "log": log, "next": following} for p, following in sorted(read.items())]
    await db.execute(_SAVE, rows)


def passed(positions_of_items: Mapping[int, int], wanted: Mapping[int, int]) -> bool:
    """Whether a reader that stands at ``positions_of_items`` has read every offset in ``wanted``."""
    return all(positions_of_items.get(partition, 0) > offset for partition, offset in wanted.items())
