"""The console's sessions, by the digest of what the browser holds. Times are epoch seconds."""

from __future__ import annotations

import msgspec
from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.tables import sessions


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """``prefix`` names the key it was opened with."""

    id: str
    prefix: str
    created: float
    used: float


async def add(db: AsyncConnection, session: Session) -> None:
    await db.execute(insert(sessions).values(msgspec.structs.asdict(session)))


async def get(db: AsyncConnection, id_: str) -> Session | None:
    row = (await db.execute(select(sessions).where(sessions.c.id == id_))).mappings().first()
    return None if row is None else Session(**row)


async def touch(db: AsyncConnection, id_: str, *, now: float, older_than: float) -> None:
    """``used``, unless somebody wrote one after ``older_than`` meanwhile."""
    stale = (sessions.c.id == id_) & (sessions.c.used < older_than)
    await db.execute(update(sessions).where(stale).values(used=now))


async def end(db: AsyncConnection, id_: str) -> None:
    await db.execute(delete(sessions).where(sessions.c.id == id_))


async def end_of_key(db: AsyncConnection, prefix: str) -> None:
    await db.execute(delete(sessions).where(sessions.c.prefix == prefix))


async def forget(db: AsyncConnection, *, before: float) -> None:
    """Those that nobody has used since."""
    await db.execute(delete(sessions).where(sessions.c.used < before))
