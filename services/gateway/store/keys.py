"""API keys: never the secret, only its digest. Times are epoch seconds."""

from __future__ import annotations

from typing import Literal

import msgspec
from sqlalchemy import insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.tables import api_keys

Scope = Literal["read", "write", "admin"]


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """``prefix`` is public and names the key; ``digest`` is the SHA-256 of its secret."""

    prefix: str
    digest: str
    org_id: str
    scope: Scope
    name: str
    created: float
    expires: float | None = None
    last_used: float | None = None
    revoked: float | None = None

    def good(self, now: float) -> bool:
        return self.revoked is None and (self.expires is None or now < self.expires)


async def add(db: AsyncConnection, key: ApiKey) -> None:
    await db.execute(insert(api_keys).values(msgspec.structs.asdict(key)))


async def get(db: AsyncConnection, prefix: str) -> ApiKey | None:
    row = (await db.execute(select(api_keys).where(api_keys.c.prefix == prefix))).mappings().first()
    return None if row is None else ApiKey(**row)


async def find(db: AsyncConnection, *, org: str | None = None) -> list[ApiKey]:
    """Oldest first, revoked ones too; those of one organisation, or all."""
    query = select(api_keys).order_by(api_keys.c.org_id, api_keys.c.created, api_keys.c.prefix)
    if org is not None:
        query = query.where(api_keys.c.org_id == org)
    return [ApiKey(**row) for row in (await db.execute(query)).mappings()]


async def revoke(db: AsyncConnection, prefix: str, *, now: float) -> None:
    """Once revoked it stays as it is."""
    live = (api_keys.c.prefix == prefix) & api_keys.c.revoked.is_(None)
    await db.execute(update(api_keys).where(live).values(revoked=now))


async def touch(db: AsyncConnection, prefix: str, *, now: float, older_than: float) -> None:
    """``last_used``, unless somebody wrote one after ``older_than`` meanwhile."""
    stale = or_(api_keys.c.last_used.is_(None), api_keys.c.last_used < older_than)
    await db.execute(update(api_keys).where(api_keys.c.prefix == prefix, stale).values(last_used=now))
