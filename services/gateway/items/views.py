"""Items as clients see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final
from unicodedata import category

import msgspec
from msgspec import Meta
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.connections import queries as connections
from services.gateway.connections.queries import StaleResource
from services.gateway.context import GatewayContext
from services.gateway.http.fields import NextPageToken
from services.gateway.http.parameters import PageTokens, check_page_size, moment
from services.gateway.items import queries as items
from services.gateway.items.queries import FoundItems, ItemKey, ItemQuery, SyncedItem
from shared.errors import BadRequest, NotFound, quoted
from shared.settings import configured_for

LONGEST_SEARCH: Final = 200


class ItemPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of items."""

    items: Annotated[
        list[SyncedItem],
        Meta(description="The items, in the order of connection, resource and id."),
    ]
    next_page_token: NextPageToken
    stale: Annotated[
        tuple[StaleResource, ...],
        Meta(
            description="The resources of these items that are stale: their last sync could not "
            "read them completely, so some of these items may be older than at the provider."
        ),
    ] = ()


class ItemView(SyncedItem, frozen=True, kw_only=True):
    """An item by itself."""

    stale: Annotated[
        StaleResource | None,
        Meta(description="Set if its resource is stale: it may be older than at the provider."),
    ] = None


async def list_items(
    *,
    connection_id: str | None = None,
    org_id: str | None = None,
    provider: str | None = None,
    resource: str | None = None,
    q: str | None = None,
    synced_since: str | None = None,
    page_size: int = 50,
    page_token: str | None = None,
    context: GatewayContext,
) -> ItemPage:
    """Return a page of items in the order of connection, resource and id.

    An item never changes its place in that order. ``q`` is a part of the name, ignoring case.

    Raises ``BadRequest`` for an invalid filter, ``NotFound`` for an unknown connection, and
    ``BadToken`` for a page token that was not issued for these filters.
    """
    _check(provider, resource, q, page_size, context)
    since = None if synced_since is None else moment("synced_since", synced_since)
    tokens = PageTokens(
        context.page_tokens,
        "items",
        connection_id,
        org_id,
        provider,
        resource,
        q,
        since,
        context.org,
    )
    query = ItemQuery(
        connections=None if connection_id is None else [connection_id],
        org_id=context.org or org_id,
        provider=provider,
        resource=resource,
        q=q,
        synced_since=since,
        after=tokens.read(page_token, ItemKey),
        limit=page_size + 1,
    )
    async with context.database.read() as db:
        found = FoundItems(items=[])
        if context.sees(org_id):
            found = await items.page(db, await _within(db, query, context))
        rows = found.items
        stale = await stale_of(db, rows[:page_size]) if found.any_stale else ()
        # Looked up only for an empty page: a row proves that its connection exists.
        if (
            connection_id is not None
            and not rows
            and await connections.get(db, connection_id, org=context.org) is None
        ):
            raise connections.unknown()
    return ItemPage(
        items=rows[:page_size],
        next_page_token=tokens.next(rows, page_size, lambda row: row.key),
        stale=stale,
    )


async def read_item(
    connection_id: str, resource: str, item_id: str, *, context: GatewayContext
) -> ItemView:
    """Return an item. Raises ``NotFound``."""
    async with context.database.read() as db:
        row = await items.get(db, (connection_id, resource, item_id))
        if row is None or context.org not in {None, row.org_id}:
            raise NotFound("There is no such item.")
        stale = await stale_of(db, [row])
    return ItemView(**msgspec.structs.asdict(row), stale=stale[0] if stale else None)


async def stale_of(db: AsyncConnection, shown: Sequence[SyncedItem]) -> tuple[StaleResource, ...]:
    """Return what is stale of the resources of these items."""
    lanes = {(one.connection_id, one.resource) for one in shown}
    found = await connections.stale_resources(db, {one.connection_id for one in shown})
    return tuple(one for one in found if (one.connection_id, one.resource) in lanes)


async def _within(db: AsyncConnection, query: ItemQuery, context: GatewayContext) -> ItemQuery:
    """Return the filters, limited to the organisation's own connections.

    The same items would be found without them, but past everyone else's.
    """
    if context.org is None or query.connections is not None:
        return query
    own = await connections.find(db, org_id=context.org, provider=query.provider)
    return msgspec.structs.replace(query, connections=[one.id for one in own])


def _check(
    provider: str | None,
    resource: str | None,
    q: str | None,
    page_size: int,
    context: GatewayContext,
) -> None:
    check_page_size(page_size)
    if q is not None and len(q) > LONGEST_SEARCH:
        raise BadRequest(f"q must be at most {LONGEST_SEARCH} characters.", code="bad_search")
    if q is not None and any(category(one) in {"Cc", "Cs"} for one in q):
        raise BadRequest(
            "q must be plain text: it contains a control character, which no name has.",
            code="bad_search",
        )
    providers = context.settings.providers
    searched = (
        providers.values()
        if provider is None
        else (configured_for(provider, providers, field="provider"),)
    )
    known = [found.slug for one in searched for found in one.provider.resources]
    if resource is not None and resource not in known:
        of_it = "" if provider is None else f" of {providers[provider].provider.name}"
        raise BadRequest(
            f"{quoted(resource)} is not a resource{of_it}. Known: {', '.join(known)}.",
            code="unknown_resource",
            field="resource",
        )
