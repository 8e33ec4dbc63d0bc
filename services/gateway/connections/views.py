"""Connections as clients see them."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.connections import queries as connections
from services.gateway.connections.queries import ConnectionMark, StaleResource
from services.gateway.context import GatewayContext
from services.gateway.http.fields import TIME, NextPageToken
from services.gateway.http.parameters import PageTokens, check_page_size
from shared.contracts.connections import Account, Connection
from shared.contracts.vocabulary import (
    ConnectionId,
    ConnectionStatus,
    OrgId,
    ProviderSlug,
    ResourceSlug,
    Scope,
    SyncId,
    UserId,
)
from shared.settings import configured_for


class ConnectionView(msgspec.Struct, frozen=True, kw_only=True):
    """A connected account, no older than any earlier answer about it."""

    id: ConnectionId
    provider: ProviderSlug
    status: ConnectionStatus
    paused: Annotated[
        bool,
        Meta(
            description="True while a person has paused it: nothing is synced until it is resumed.",
            examples=[False],
        ),
    ]
    reason: Annotated[
        str | None,
        Meta(
            description="Why it is not active, for people; null while it is.",
            examples=["The grant was revoked."],
        ),
    ]
    account: Annotated[Account, Meta(description="The account at the provider.")]
    org_id: OrgId
    user_id: UserId
    sync_id: Annotated[
        SyncId | None, Meta(description="The id of its newest sync; null before the first.")
    ]
    resources: Annotated[
        tuple[ResourceSlug, ...],
        Meta(
            description="The resources that the granted scopes allow us to read.",
            examples=[["pages"]],
        ),
    ]
    scopes: Annotated[
        tuple[Scope, ...],
        Meta(description="The scopes that were granted.", examples=[["read_content"]]),
    ]
    items: Annotated[
        int, Meta(description="How many of its items can be read here.", examples=[1180])
    ]
    stale: Annotated[
        tuple[StaleResource, ...],
        Meta(description="The resources that their last sync could not read completely, and why."),
    ] = ()
    created_at: Annotated[
        str,
        Meta(
            description="When the account was first connected.",
            examples=["2026-01-31T09:29:58.000Z"],
            extra_json_schema=TIME,
        ),
    ]
    updated_at: Annotated[
        str,
        Meta(
            description="When anything but its items last changed.",
            examples=["2026-01-31T09:29:58.000Z"],
            extra_json_schema=TIME,
        ),
    ]


class ConnectionPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of connections."""

    connections: Annotated[list[ConnectionView], Meta(description="The connections, oldest first.")]
    next_page_token: NextPageToken


async def list_connections(
    *,
    org_id: str | None = None,
    user_id: str | None = None,
    provider: str | None = None,
    page_size: int = 50,
    page_token: str | None = None,
    context: GatewayContext,
) -> ConnectionPage:
    """Return a page of connections, oldest first, without disconnected ones.

    Raises ``BadRequest`` for an unknown provider, and ``BadToken`` for a page token that was not
    issued for these filters.
    """
    check_page_size(page_size)
    if provider is not None:
        configured_for(provider, context.settings.providers, field="provider")
    tokens = PageTokens(context.page_tokens, "connections", org_id, user_id, provider, context.org)
    after = tokens.read(page_token, ConnectionMark)
    if not context.sees(org_id):
        return ConnectionPage(connections=[], next_page_token=None)
    org_id = context.org or org_id
    async with context.database.read() as db:
        found = await connections.find(
            db, org_id=org_id, user_id=user_id, provider=provider, after=after, limit=page_size + 1
        )
        shown = [await connection_view(db, one) for one in found[:page_size]]
    token = tokens.next(found, page_size, lambda one: (one.created_at, one.id))
    return ConnectionPage(connections=shown, next_page_token=token)


async def read_connection(connection_id: str, *, context: GatewayContext) -> ConnectionView:
    """Return a connection, even if it was disconnected. Raises ``NotFound``."""
    async with context.database.read() as db:
        snapshot = await connections.get(db, connection_id, org=context.org)
        if snapshot is None:
            raise connections.unknown()
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
        stale=tuple(await connections.stale_resources(db, [snapshot.id])),
        created_at=snapshot.created_at,
        updated_at=snapshot.updated_at,
    )
