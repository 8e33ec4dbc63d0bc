"""Shared by all features: the lock of the read model, the outbox, and positions in the topics."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from operator import itemgetter
from typing import Final

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.tables import api_keys, metadata, outbox, positions, sessions
from shared.contracts.envelope import Message
from shared.db import BulkUpsert, Database
from shared.kafka import Producer
from shared.log_marks import LogMarks
from shared.outbox import Relay, append

READ_MODEL: Final = "read model"
"""The lock of transactions that fold topics: each sees everything that earlier ones wrote."""

# SQLite understands PostgreSQL's ON CONFLICT, so one dialect's insert serves both.
_INSERT: Final = upsert(positions)
_SAVE: Final = _INSERT.on_conflict_do_update(
    index_elements=["topic", "partition"],
    set_={"next_offset": _INSERT.excluded.next_offset, "log_id": _INSERT.excluded.log_id},
    # A gateway that has lost the partition may still write the batch that it took before.
    # Another log replaces even a higher offset, because its offsets begin at 0 again.
    where=(positions.c.log_id != _INSERT.excluded.log_id)
    | (positions.c.next_offset < _INSERT.excluded.next_offset),
)
_SAVE_ALL: Final = BulkUpsert(_SAVE)
_IN_ORDER: Final = itemgetter(*_SAVE_ALL.columns)
_LOAD: Final = select(positions.c.partition, positions.c.next_offset).where(
    positions.c.topic == bindparam("topic"), positions.c.log_id == bindparam("log_id")
)


# The topics do not hold these, so nothing would bring them back.
KEPT: Final = frozenset({api_keys.name, sessions.name})


async def empty_read_model(db: AsyncConnection) -> None:
    """Delete everything but API keys and sessions, so that it is read from the topics again."""
    for table in metadata.sorted_tables:
        if table.name not in KEPT:
            await db.execute(delete(table))


async def send(db: AsyncConnection, *messages: Message) -> None:
    """Send messages once the caller's transaction commits, and not if it rolls back."""
    await append(db, outbox, messages)


def relay(database: Database, producer: Producer) -> Relay:
    return Relay(database, outbox, producer)


def marks(log_ids: Mapping[str, str]) -> LogMarks:
    """Return the positions as marks, to be compared with the topics."""
    return LogMarks(positions, log_ids)


async def forget_positions(db: AsyncConnection, topics: Collection[str]) -> None:
    """Read these topics from their beginning."""
    await db.execute(delete(positions).where(positions.c.topic.in_(topics)))


async def load_positions(db: AsyncConnection, topic: str, log_id: str) -> dict[int, int]:
    """Return partition → next offset in this log; another log starts from 0."""
    rows = await db.execute(_LOAD, {"topic": topic, "log_id": log_id})
    return {row.partition: row.next_offset for row in rows}


async def save_positions(
    db: AsyncConnection, topic: str, log_id: str, read: Mapping[int, int]
) -> None:
    values = {"topic": topic, "log_id": log_id}
    rows = (
        {**values, "partition": one, "next_offset": following}
        for one, following in sorted(read.items())
    )
    await _SAVE_ALL.run(db, [_IN_ORDER(row) for row in rows])


def passed(positions_of_items: Mapping[int, int], wanted: Mapping[int, int]) -> bool:
    """Return True if a reader at ``positions_of_items`` has read every offset in ``wanted``."""
    # A position is the next offset to read: if it is equal, that offset has not been read yet.
    return all(
        positions_of_items.get(partition, 0) > offset for partition, offset in wanted.items()
    )
