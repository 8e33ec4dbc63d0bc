"""Queries on API keys and sessions. Only digests of secrets are stored. Times are epoch seconds."""

from __future__ import annotations

from typing import Final, Literal

import msgspec
from sqlalchemy import delete, insert, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.tables import api_keys, sessions

KeyScope = Literal["read", "write", "admin"]
SCOPES: Final[tuple[KeyScope, ...]] = ("read", "write", "admin")
"""Each includes those before it."""
KeyMark = tuple[str, float, str]
"""Organisation, time and prefix of a key: where a page of a listing ended."""


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A stored key. ``prefix`` is public and names it; ``digest`` is the SHA-256 of its secret."""

    prefix: str
    digest: str
    org_id: str
    scope: KeyScope
    name: str
    created_at: float
    expires_at: float | None = None
    last_used_at: float | None = None
    revoked_at: float | None = None

    def good(self, now: float) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


async def add_key(db: AsyncConnection, key: ApiKey) -> None:
    await db.execute(insert(api_keys).values(msgspec.structs.asdict(key)))


async def get_key(db: AsyncConnection, prefix: str) -> ApiKey | None:
    row = (await db.execute(select(api_keys).where(api_keys.c.prefix == prefix))).mappings().first()
    return None if row is None else ApiKey(**row)


async def find_keys(
    db: AsyncConnection,
    *,
    org: str | None = None,
    after: KeyMark | None = None,
    limit: int | None = None,
) -> list[ApiKey]:
    """Return keys, oldest first, including revoked ones; None goes organisation by organisation."""
    order = (api_keys.c.org_id, api_keys.c.created_at, api_keys.c.prefix)
    query = select(api_keys).order_by(*order).limit(limit)
    if org is not None:
        query = query.where(api_keys.c.org_id == org)
    if after is not None:
        query = query.where(tuple_(*order) > tuple_(*after))
    return [ApiKey(**row) for row in (await db.execute(query)).mappings()]


async def mark_revoked(db: AsyncConnection, prefix: str, *, now: float) -> None:
    """Revoke a key; a key that is already revoked keeps its time."""
    live = (api_keys.c.prefix == prefix) & api_keys.c.revoked_at.is_(None)
    await db.execute(update(api_keys).where(live).values(revoked_at=now))


async def touch_key(db: AsyncConnection, prefix: str, *, now: float, older_than: float) -> None:
    """Set ``last_used_at``, unless somebody has set it after ``older_than`` meanwhile."""
    stale = or_(api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at < older_than)
    await db.execute(
        update(api_keys).where(api_keys.c.prefix == prefix, stale).values(last_used_at=now)
    )


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A session of the console. ``prefix`` names the key that it was opened with."""

    id: str
    prefix: str
    created_at: float
    used_at: float


async def add_session(db: AsyncConnection, session: Session) -> None:
    await db.execute(insert(sessions).values(msgspec.structs.asdict(session)))


async def get_session(db: AsyncConnection, id_: str) -> Session | None:
    row = (await db.execute(select(sessions).where(sessions.c.id == id_))).mappings().first()
    return None if row is None else Session(**row)


async def touch_session(db: AsyncConnection, id_: str, *, now: float, older_than: float) -> None:
    """Set ``used_at``, unless somebody has set it after ``older_than`` meanwhile."""
    stale = (sessions.c.id == id_) & (sessions.c.used_at < older_than)
    await db.execute(update(sessions).where(stale).values(used_at=now))


async def end_session(db: AsyncConnection, id_: str) -> None:
    await db.execute(delete(sessions).where(sessions.c.id == id_))


async def end_sessions_of_key(db: AsyncConnection, prefix: str) -> None:
    await db.execute(delete(sessions).where(sessions.c.prefix == prefix))


async def forget_sessions(db: AsyncConnection, *, before: float) -> None:
    """Delete the sessions that nobody has used since."""
    await db.execute(delete(sessions).where(sessions.c.used_at < before))
