"""Connections as clients see them, as new as the last answer they were given."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.connections import queries as connections
from services.gateway.context import GatewayContext
from shared.contracts.connections import Account, Connection
from shared.contracts.vocabulary import (
    ConnectionId,
    ConnectionStatus,
    OrgId,
    ProviderSlug,
    ResourceSlug,
    Scope,
    UserId,
)
from shared.errors import NotFound

TIME: Final = {"format": "date-time"}


class ConnectionView(msgspec.Struct, frozen=True, kw_only=True):
    """A connected account, as new as the last answer that was given of it."""

    id: ConnectionId
    provider: ProviderSlug
    status: ConnectionStatus
    paused: Annotated[bool, Meta(description="True when a person has paused it: nothing is read until resumed.")]
    reason: Annotated[str | None, Meta(description="Why it is not active, for people; null when it is.")]
    account: Account
    org_id: OrgId
    user_id: UserId
    sync_id: Annotated[str | None, Meta(description="Its newest sync; null before the first.")]
    resources: Annotated[tuple[ResourceSlug, ...], Meta(description="What the granted scopes allow us to read.")]
    scopes: Annotated[tuple[Scope, ...], Meta(description="The scopes that were granted.")]
    items: Annotated[int, Meta(description="How many items of it can be read here.", examples=[1180])]
    created_at: Annotated[str, Meta(description="When the account was first connected.", extra_json_schema=TIME)]
    updated_at: Annotated[
        str, Meta(description="When anything of it but its items last changed.", extra_json_schema=TIME)
    ]


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
        paused=snapshot.paused,
        reason=snapshot.reason,
        account=snapshot.account,
        org_id=snapshot.org_id,
        user_id=snapshot.user_id,
        sync_id=await connections.newest_sync_id(db, snapshot.id) or snapshot.sync_id,
        resources=snapshot.resources,
        scopes=snapshot.scopes,
        items=sum((await connections.item_counts(db, snapshot.id)).values()),
        created_at=snapshot.created_at,
        updated_at=snapshot.updated_at,
    )
