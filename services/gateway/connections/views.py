"""Connections as clients see them, as new as the last answer they were given."""

from __future__ import annotations

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.connections import queries as connections
from services.gateway.context import GatewayContext
from shared.contracts.connections import Account, Connection, Status
from shared.errors import NotFound


class ConnectionView(msgspec.Struct, frozen=True, kw_only=True):
    """``resources`` are those the granted scopes allow, ``sync_id`` the newest sync, ``items`` how many can be read."""

    id: str
    provider: str
    status: Status
    reason: str | None
    account: Account
    org_id: str
    user_id: str
    sync_id: str | None
    resources: tuple[str, ...]
    scopes: tuple[str, ...]
    items: int
    created: str
    updated: str


async def list_connections(
    *, org_id: str | None = None, user_id: str | None = None, provider: str | None = None, context: GatewayContext
) -> list[ConnectionView]:
    """Oldest first, without disconnected ones. Raises ``BadRequest`` for an unknown provider."""
    if provider is not None:
        context.require_provider(provider)
    if not context.sees(org_id):
        return []
    async with context.database.read() as db:
        found = await connections.find(db, org_id=context.org or org_id, user_id=user_id, provider=provider)
        return [await connection_view(db, one) for one in found]


async def read_connection(connection_id: str, *, context: GatewayContext) -> ConnectionView:
    """Also one that was disconnected, with that status. Raises ``NotFound``."""
    async with context.database.read() as db:
        snapshot = await connections.get(db, connection_id, org=context.org)
        if snapshot is None:
            raise NotFound("There is no such connection.")
        return await connection_view(db, snapshot)


async def connection_view(db: AsyncConnection, snapshot: Connection) -> ConnectionView:
    return ConnectionView(
        id=snapshot.id,
        provider=snapshot.provider,
        status=snapshot.status,
        reason=snapshot.reason,
        account=snapshot.account,
        org_id=snapshot.org_id,
        user_id=snapshot.user_id,
        sync_id=await connections.newest_sync_id(db, snapshot.id) or snapshot.sync_id,
        resources=snapshot.resources,
        scopes=snapshot.scopes,
        items=sum((await connections.item_counts(db, snapshot.id)).values()),
        created=snapshot.created,
        updated=snapshot.updated,
    )
