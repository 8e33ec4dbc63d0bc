"""Consent flows: one row each, the one-time state being a column that is spent by one UPDATE."""

from __future__ import annotations

import msgspec
from sqlalchemy import Select, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.auth import tables
from shared.contracts.auth import ErrorBody, FlowStatus

_t = tables.flows


class FlowRow(msgspec.Struct, frozen=True, kw_only=True):
    """``state_sealed`` and ``verifier_sealed`` open with (org, flow, ``state`` or ``verifier``)."""

    id: str
    provider: str
    org_id: str
    user_id: str
    return_url: str | None
    redirect_uri: str
    status: FlowStatus = "pending"
    connection_id: str | None = None
    error_code: str | None = None
    error_detail: str | None = None
    created_at: float
    expires_at: float
    state_hash: str
    state_sealed: str
    verifier_sealed: str
    nonce_hash: str | None = None
    used: int = 0


async def add(db: AsyncConnection, flow: FlowRow) -> None:
    await db.execute(insert(_t).values(msgspec.structs.asdict(flow)))


async def get(db: AsyncConnection, flow_id: str) -> FlowRow | None:
    return await _one(db, select(_t).where(_t.c.id == flow_id))


async def by_state(db: AsyncConnection, state_hash: str) -> FlowRow | None:
    return await _one(db, select(_t).where(_t.c.state_hash == state_hash))


async def bind(db: AsyncConnection, flow_id: str, nonce_hash: str) -> None:
    """From now on only the browser that carries this nonce may finish the flow."""
    await db.execute(update(_t).where(_t.c.id == flow_id).values(nonce_hash=nonce_hash))


async def spend(db: AsyncConnection, flow: FlowRow, *, now: float, finish_by: float) -> bool:
    """True for exactly one caller, and only while the flow lives and its nonce is still the one that was checked."""
    unspent = (_t.c.id == flow.id) & (_t.c.used == 0) & (_t.c.expires_at > now) & (_t.c.nonce_hash == flow.nonce_hash)
    spent = await db.execute(update(_t).where(unspent).values(used=1, expires_at=finish_by))
    return spent.rowcount == 1


async def succeed(db: AsyncConnection, flow_id: str, connection_id: str) -> None:
    await db.execute(update(_t).where(_t.c.id == flow_id).values(status="connected", connection_id=connection_id))


async def fail(db: AsyncConnection, flow_id: str, error: ErrorBody) -> None:
    pending = (_t.c.id == flow_id) & (_t.c.status == "pending")
    await db.execute(
        update(_t).where(pending).values(status="failed", error_code=error.code, error_detail=error.detail)
    )


async def forget(db: AsyncConnection, *, created_before: float) -> int:
    return (await db.execute(delete(_t).where(_t.c.created_at < created_before))).rowcount


async def _one(db: AsyncConnection, query: Select[tuple[object, ...]]) -> FlowRow | None:
    row = (await db.execute(query)).mappings().first()
    return None if row is None else FlowRow(**row)
