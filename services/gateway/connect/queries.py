"""Consents that were started and have not come back: what ``/credentials`` may wait for."""

from __future__ import annotations

import time
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.tables import flows
from shared.contracts.auth import Flow

LIFETIME_S: Final = 600.0


async def add(db: AsyncConnection, flow: Flow) -> None:
    """Remember a flow, and forget those that nobody finished in time."""
    now = time.time()
    await db.execute(delete(flows).where(flows.c.expires_at < now))
    row = {name: getattr(flow, name) for name in ("org_id", "user_id", "provider")}
    added = upsert(flows).values(id=flow.flow_id, expires_at=now + LIFETIME_S, **row)
    await db.execute(added.on_conflict_do_nothing())


async def forget(db: AsyncConnection, flow_id: str) -> None:
    await db.execute(delete(flows).where(flows.c.id == flow_id))


async def pending(db: AsyncConnection, *, org_id: str, user_id: str, provider: str) -> bool:
    query = select(flows.c.id).where(
        flows.c.org_id == org_id,
        flows.c.user_id == user_id,
        flows.c.provider == provider,
        flows.c.expires_at > time.time(),
    )
    return (await db.execute(query.limit(1))).first() is not None
