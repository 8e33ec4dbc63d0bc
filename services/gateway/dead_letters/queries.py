"""Which dead letters were put back on their topics. Times are epoch seconds."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.tables import replays


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """``sent`` is None while nobody knows whether Kafka has it; then ``partition`` and ``offset`` are too."""

    letter: str
    begun: float
    sent: float | None = None
    partition: int | None = None
    offset: int | None = None


async def get(db: AsyncConnection, log: str, letter: str) -> Replay | None:
    found = await find(db, log, [letter])
    return found[0] if found else None


async def find(db: AsyncConnection, log: str, letters: Collection[str]) -> list[Replay]:
    kept = replays.c
    query = select(kept.letter, kept.begun, kept.sent, kept.partition, kept.offset)
    rows = await db.execute(query.where(kept.log == log, kept.letter.in_(letters)))
    return [
        Replay(letter=letter, begun=begun, sent=sent, partition=partition, offset=offset)
        for letter, begun, sent, partition, offset in rows
    ]


async def begin(db: AsyncConnection, log: str, letter: str, *, now: float, given_up: float) -> bool:
    """Whether it is the caller who may send it: nobody has, nor begun to after ``given_up``."""
    fresh = upsert(replays).values(log=log, letter=letter, begun=now).on_conflict_do_nothing()
    if (await db.execute(fresh)).rowcount:
        return True
    ours = (replays.c.log == log) & (replays.c.letter == letter)
    left = ours & replays.c.sent.is_(None) & (replays.c.begun < given_up)
    return bool((await db.execute(update(replays).where(left).values(begun=now))).rowcount)


async def finish(db: AsyncConnection, log: str, letter: str, *, now: float, at: tuple[int, int]) -> None:
    """``at`` is the partition and offset it has now. The first to finish counts."""
    open_ = (replays.c.log == log) & (replays.c.letter == letter) & replays.c.sent.is_(None)
    await db.execute(update(replays).where(open_).values(sent=now, partition=at[0], offset=at[1]))
