"""Reads the gateway's rows into what the pages show."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.console.acting import org_of, shows, whose
from services.gateway.console.cards import Account, Card, account, card
from services.gateway.console.loads import load
from services.gateway.console.table import FIRST, ROWS, Asked, Chip, Row, Table, paged, row, span, split
from services.gateway.console.words import initials, number
from services.gateway.hub import Hub
from services.gateway.settings import Offered
from services.gateway.store import connections, items, syncs
from services.gateway.store.stored import StoredItem
from services.gateway.sync import view
from shared.contracts.connections import Connection
from shared.errors import NotFound

Counts = Mapping[str, Mapping[str, int]]
"""Connection → resource → items that can be read."""


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """The upper half of the page. ``live``: something loads, so it is worth looking again soon."""

    cards: tuple[Card, ...]
    items: int
    live: bool


async def overview(hub: Hub) -> Overview:
    async with hub.database.read() as db:
        mine = await connections.find(db, org_id=org_of(hub), user_id=whose(hub))
        counts = await _counts(db, mine)
        accounts = [(one.provider, await _account(db, hub, one, counts[one.id])) for one in mine]
    cards = tuple(
        card(offered, tuple(view for provider, view in accounts if provider == slug))
        for slug, offered in hub.settings.providers.items()
    )
    live = any(view.stream for _, view in accounts)
    return Overview(cards=cards, items=sum(view.items for _, view in accounts), live=live)


async def owned(hub: Hub, id_: str) -> tuple[Connection, str, int]:
    """A connection that the console shows, its provider's name, and how many items it has.

    Raises ``NotFound``, also for one that is disconnected or somebody else's.
    """
    async with hub.database.read() as db:
        found = await connections.get(db, id_)
        if found is None or not shows(hub, found) or found.status == "disconnected":
            raise NotFound("There is no such connection; it may have been disconnected meanwhile.")
        counts = await items.counts(db, id_)
    offered = hub.settings.providers.get(found.provider)
    return found, offered.provider.name if offered else found.provider, sum(counts.values())


async def item(hub: Hub, key: items.Key) -> tuple[StoredItem, Offered | None]:
    """Raises ``NotFound``."""
    connection, _, _ = await owned(hub, key[0])
    async with hub.database.read() as db:
        found = await items.get(db, key)
    if found is None:
        raise NotFound("There is no such item; it may have been deleted at the provider meanwhile.")
    return found, hub.settings.providers.get(connection.provider)


async def table(hub: Hub, asked: Asked) -> Table:
    async with hub.database.read() as db:
        mine = await connections.find(db, org_id=org_of(hub), user_id=whose(hub))
        counts = await _counts(db, mine)
        wanted = [one.id for one in mine if not asked.provider or asked.provider == one.provider]
        found = [] if asked.cleared or not wanted else await items.page(db, _query(asked, wanted))
        rows = await _rows(db, hub, found[:ROWS])
    previous, following = paged(asked, found)
    chosen = {id_: counts[id_] for id_ in wanted}
    total = None if asked.q else _total(chosen, asked.resource)
    return Table(
        asked=asked,
        rows=rows,
        nested=any(one.parent for one in rows),
        providers=_provider_chips(hub, asked, mine, counts),
        resources=_resource_chips(hub, asked, mine, chosen),
        span=span(asked, len(rows), total),
        previous=previous,
        following=following,
        connected=bool(mine),
    )


def _query(asked: Asked, wanted: Sequence[str]) -> items.Query:
    return items.Query(
        connections=wanted,
        resource=asked.resource or None,
        q=asked.q or None,
        after=split(asked.after),
        limit=ROWS + 1,
    )


async def _account(db: AsyncConnection, hub: Hub, connection: Connection, counts: Mapping[str, int]) -> Account:
    offered = hub.settings.providers.get(connection.provider)
    labels = _labels(offered)
    newest = await syncs.newest(db, connection.id)
    shown = load(await view(db, newest[0]), labels=labels, counts=counts) if newest else None
    return account(connection, shown, labels=labels, counts=counts, now=time.time())


async def _rows(db: AsyncConnection, hub: Hub, found: Sequence[StoredItem]) -> tuple[Row, ...]:
    parents: dict[items.Key, str | None] = {}
    rows = []
    for item in found:
        offered = hub.settings.providers.get(item.provider)
        above = _parent(offered, item)
        if above and above not in parents:
            parent = await items.get(db, above)
            parents[above] = parent.name if parent else None
        mark = initials(offered.provider.name) if offered else "?"
        rows.append(row(item, offered, mark=mark, parent=parents[above] if above else None))
    return tuple(rows)


def _parent(offered: Offered | None, item: StoredItem) -> items.Key | None:
    """Where the item's parent is, for resources whose parents are all of one kind."""
    resource = offered.provider.resource(item.resource) if offered else None
    if resource is None or resource.original.parent_resource is None or item.parent_id is None:
        return None
    return item.connection, resource.original.parent_resource, item.parent_id


async def _counts(db: AsyncConnection, found: Sequence[Connection]) -> Counts:
    return {one.id: await items.counts(db, one.id) for one in found}


def _labels(offered: Offered | None) -> dict[str, str]:
    return {one.slug: one.label for one in offered.provider.resources} if offered else {}


def _total(counts: Counts, resource: str) -> int:
    every = [(slug, count) for one in counts.values() for slug, count in one.items()]
    return sum(count for slug, count in every if resource in {"", slug})


def _provider_chips(hub: Hub, asked: Asked, mine: Sequence[Connection], counts: Counts) -> tuple[Chip, ...]:
    chips = [_chip(asked, "All sources", _total(counts, ""), chosen=not asked.provider, provider="")]
    for slug, offered in hub.settings.providers.items():
        own = {one.id: counts[one.id] for one in mine if one.provider == slug}
        if own:
            chips.append(
                _chip(asked, offered.provider.name, _total(own, ""), chosen=asked.provider == slug, provider=slug)
            )
    return tuple(chips)


def _resource_chips(hub: Hub, asked: Asked, mine: Sequence[Connection], chosen: Counts) -> tuple[Chip, ...]:
    labels: dict[str, str] = {}
    for one in mine:
        if one.id in chosen:
            labels |= _labels(hub.settings.providers.get(one.provider))
    chips = [_chip(asked, "Everything", _total(chosen, ""), chosen=not asked.resource, resource="")]
    chips += [
        _chip(asked, label, _total(chosen, slug), chosen=asked.resource == slug, resource=slug)
        for slug, label in labels.items()
    ]
    return tuple(chips)


def _chip(asked: Asked, label: str, count: int, *, chosen: bool, **change: str) -> Chip:
    """A filter's link; choosing another provider forgets the resource, whose name it may not know."""
    change |= {"resource": ""} if "provider" in change else {}
    return Chip(label=label, count=number(count), query=asked.link(cleared=False, **FIRST, **change), chosen=chosen)
