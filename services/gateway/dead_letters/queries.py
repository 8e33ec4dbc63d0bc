"""Queries on the replays of dead letters. Times are epoch seconds."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.tables import replays


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """A replay of a dead letter.

    ``sent_at``, ``partition`` and ``offset`` are None until Kafka is known to have the message.
    """

    dead_letter_id: str
    begun_at: float
    sent_at: float | None = None
    partition: int | None = None
    offset: int | None = None


async def get(db: AsyncConnection, log_id: str, id_: str) -> Replay | None:
    found = await find(db, [log_id], [id_])
    return found[0] if found else None


async def find(db: AsyncConnection, log_ids: Collection[str], ids: Collection[str]) -> list[Replay]:
    """Return the replays of these dead letters.

    An id names its topic, so any present log may match.
    """
    query = select(*(replays.c[name] for name in Replay.__struct_fields__))
    query = query.where(replays.c.log_id.in_(log_ids), replays.c.dead_letter_id.in_(ids))
    return [Replay(**row) for row in (await db.execute(query)).mappings()]


async def begin(db: AsyncConnection, log_id: str, id_: str, *, now: float, given_up: float) -> bool:
    """Return True if the caller may send it: nobody has sent it, or begun to since ``given_up``."""
    new = (
        upsert(replays)
        .values(log_id=log_id, dead_letter_id=id_, begun_at=now)
        .on_conflict_do_nothing()
    )
    if (await db.execute(new)).rowcount:
        return True
    ours = (replays.c.log_id == log_id) & (replays.c.dead_letter_id == id_)
    left = ours & replays.c.sent_at.is_(None) & (replays.c.begun_at < given_up)
    return bool((await db.execute(update(replays).where(left).values(begun_at=now))).rowcount)


async def finish(
    db: AsyncConnection, log_id: str, id_: str, *, now: float, at: tuple[int, int]
) -> None:
    """Record that it was sent.

    ``at`` is its new partition and offset. The first to finish counts.
    """
    ours = (replays.c.log_id == log_id) & (replays.c.dead_letter_id == id_)
    unsent = ours & replays.c.sent_at.is_(None)
    await db.execute(
        update(replays).where(unsent).values(sent_at=now, partition=at[0], offset=at[1])
    )
