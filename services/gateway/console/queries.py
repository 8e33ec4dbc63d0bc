"""Turn the gateway's rows into the contents of the pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.connections import queries as connections
from services.gateway.connections.queries import StaleResource
from services.gateway.console.cards import AccountCard, Card, account, card, card_sync
from services.gateway.console.formatting import initials, number
from services.gateway.console.items import (
    FIRST,
    ROWS,
    Chip,
    ItemRow,
    ItemTable,
    TableQuery,
    paged,
    row,
    span,
    split,
)
from services.gateway.console.render import org_of, shows, whose
from services.gateway.context import GatewayContext
from services.gateway.items import queries as items
from services.gateway.items.queries import SyncedItem
from services.gateway.settings import ConfiguredProvider
from services.gateway.syncs import queries as syncs
from services.gateway.syncs.describe import view
from shared import clock
from shared.contracts.connections import Connection
from shared.errors import NotFound

Counts = Mapping[str, Mapping[str, int]]
"""Connection → resource → number of items that can be read."""


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """The cards. ``live``: a sync is running, so it is worth refreshing soon."""

    cards: tuple[Card, ...]
    items: int
    live: bool


async def overview(context: GatewayContext) -> Overview:
    async with context.database.read() as db:
        mine = await connections.find(db, org_id=org_of(context), user_id=whose(context))
        counts = await _counts(db, mine)
        accounts = [
            (one.provider, await _account(db, context, one, counts[one.id])) for one in mine
        ]
    cards = []
    for slug, configured in context.settings.providers.items():
        own = tuple(view for provider, view in accounts if provider == slug)
        cards.append(card(configured, own))
    live = any(view.stream for _, view in accounts)
    return Overview(cards=tuple(cards), items=sum(view.items for _, view in accounts), live=live)


async def owned(context: GatewayContext, id_: str) -> tuple[Connection, str, int]:
    """Return a connection that the console shows, its provider's name, and its number of items.

    Raises ``NotFound``, also for a connection that is disconnected or belongs to somebody else.
    """
    async with context.database.read() as db:
        found = await connections.get(db, id_)
        if found is None or not shows(context, found) or found.status == "disconnected":
            raise NotFound("There is no such connection; it may have been disconnected meanwhile.")
        counts = await connections.item_counts(db, id_)
    configured = context.settings.providers.get(found.provider)
    return found, configured.provider.name if configured else found.provider, sum(counts.values())


async def item(
    context: GatewayContext, key: items.ItemKey
) -> tuple[SyncedItem, ConfiguredProvider | None, StaleResource | None]:
    """Return an item, its provider, and what is stale of its resource. Raises ``NotFound``."""
    connection, _, _ = await owned(context, key[0])
    async with context.database.read() as db:
        found = await items.get(db, key)
        stale = await connections.stale_resources(db, [connection.id])
    if found is None:
        raise NotFound("There is no such item; it may have been deleted at the provider meanwhile.")
    of_item = next((one for one in stale if one.resource == found.resource), None)
    return found, context.settings.providers.get(connection.provider), of_item


async def table(context: GatewayContext, query: TableQuery) -> ItemTable:
    async with context.database.read() as db:
        mine = await connections.find(db, org_id=org_of(context), user_id=whose(context))
        counts = await _counts(db, mine)
        wanted = [one.id for one in mine if not query.provider or query.provider == one.provider]
        found: list[SyncedItem] = []
        if wanted and not query.hidden:
            found = (await items.page(db, _item_query(query, wanted))).items
        rows = await _rows(db, context, found[:ROWS])
    previous, following = paged(query, found)
    chosen = {id_: counts[id_] for id_ in wanted}
    # To count the matches of a search, the database would have to read every row.
    total = None if query.q else _total(chosen, query.resource)
    return ItemTable(
        query=query,
        rows=rows,
        nested=any(one.parent for one in rows),
        providers=_provider_chips(context, query, mine, counts),
        resources=_resource_chips(context, query, mine, chosen),
        span=span(query, len(rows), total),
        previous=previous,
        following=following,
        connected=bool(mine),
    )


def _item_query(query: TableQuery, wanted: Sequence[str]) -> items.ItemQuery:
    return items.ItemQuery(
        connections=wanted,
        resource=query.resource or None,
        q=query.q or None,
        after=split(query.after),
        limit=ROWS + 1,
    )


async def _account(
    db: AsyncConnection, context: GatewayContext, connection: Connection, counts: Mapping[str, int]
) -> AccountCard:
    configured = context.settings.providers.get(connection.provider)
    labels = _labels(configured)
    newest = await syncs.newest(db, connection.id)
    shown = card_sync(await view(db, newest[0]), labels=labels, counts=counts) if newest else None
    return account(connection, shown, labels=labels, counts=counts, now=clock.now())


async def _rows(
    db: AsyncConnection, context: GatewayContext, found: Sequence[SyncedItem]
) -> tuple[ItemRow, ...]:
    parents: dict[items.ItemKey, str | None] = {}
    rows = []
    for item in found:
        configured = context.settings.providers.get(item.provider)
        above = _parent(configured, item)
        if above and above not in parents:
            parent = await items.get(db, above)
            parents[above] = parent.name if parent else None
        mark = initials(configured.provider.name) if configured else "?"
        rows.append(row(item, configured, mark=mark, parent=parents[above] if above else None))
    return tuple(rows)


def _parent(configured: ConfiguredProvider | None, item: SyncedItem) -> items.ItemKey | None:
    """Return the key of the item's parent, for resources whose parents are all of one type."""
    resource = configured.provider.resource(item.resource) if configured else None
    if resource is None or resource.original.parent_resource is None or item.parent_id is None:
        return None
    return item.connection_id, resource.original.parent_resource, item.parent_id


async def _counts(db: AsyncConnection, found: Sequence[Connection]) -> Counts:
    return {one.id: await connections.item_counts(db, one.id) for one in found}


def _labels(configured: ConfiguredProvider | None) -> dict[str, str]:
    return {one.slug: one.label for one in configured.provider.resources} if configured else {}


def _total(counts: Counts, resource: str) -> int:
    every = [(slug, count) for one in counts.values() for slug, count in one.items()]
    return sum(count for slug, count in every if resource in {"", slug})


def _provider_chips(
    context: GatewayContext, query: TableQuery, mine: Sequence[Connection], counts: Counts
) -> tuple[Chip, ...]:
    total = _total(counts, "")
    chips = [_chip(query, "All sources", total, chosen=not query.provider, provider="")]
    for slug, configured in context.settings.providers.items():
        own = {one.id: counts[one.id] for one in mine if one.provider == slug}
        if own:
            label, total = configured.provider.name, _total(own, "")
            chosen = query.provider == slug
            chips.append(_chip(query, label, total, chosen=chosen, provider=slug))
    return tuple(chips)


def _resource_chips(
    context: GatewayContext, query: TableQuery, mine: Sequence[Connection], chosen: Counts
) -> tuple[Chip, ...]:
    labels: dict[str, str] = {}
    for one in mine:
        if one.id in chosen:
            labels |= _labels(context.settings.providers.get(one.provider))
    chips = [_chip(query, "Everything", _total(chosen, ""), chosen=not query.resource, resource="")]
    chips += [
        _chip(query, label, _total(chosen, slug), chosen=query.resource == slug, resource=slug)
        for slug, label in labels.items()
    ]
    return tuple(chips)


def _chip(query: TableQuery, label: str, count: int, *, chosen: bool, **change: str) -> Chip:
    """Return a filter's link. Another provider clears the resource, which it may not have."""
    change |= {"resource": ""} if "provider" in change else {}
    return Chip(
        label=label,
        count="" if query.q else number(count),
        query=query.link(hidden=False, **FIRST, **change),
        chosen=chosen,
    )
