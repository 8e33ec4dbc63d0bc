"""Order that some items are read again: links of files in ``raw`` expire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway import store
from services.gateway.connections import queries as connections
from services.gateway.context import GatewayContext
from services.gateway.http.fields import KnownResource
from services.gateway.items import queries as items
from services.gateway.store import READ_MODEL
from shared.contracts.envelope import event
from shared.contracts.syncs import RefetchItems
from shared.contracts.topics import SYNCS
from shared.contracts.vocabulary import ConnectionId, ItemId
from shared.errors import BadRequest, NotFound, quoted
from shared.settings import configured_for
from shared.telemetry import current_traceparent

MOST: Final = 100
"""The most ids in one request. Where a provider has no batch read, each of them is a call."""
Ids = Annotated[list[ItemId], Meta(min_length=1, max_length=MOST, description="The items' ids.")]


class Refetch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The items to read again: of one connection and one resource, at most 100."""

    connection_id: ConnectionId
    resource: KnownResource
    ids: Ids


class RefetchOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order that was accepted. The items come again within seconds, under a newer version."""

    connection_id: ConnectionId
    resource: KnownResource
    ids: Ids


async def refetch_items(asked: Refetch, *, context: GatewayContext) -> RefetchOrder:
    """Have these items read again and sent. The order is stored when this returns.

    Raises ``NotFound`` for a connection or an item that is not known, ``BadRequest`` for a resource
    that does not exist, and ``Conflict`` for a connection that cannot be read.
    """
    ids = list(dict.fromkeys(asked.ids))
    async with context.database.write(lock=READ_MODEL) as db:
        # Read under the lock: a disconnect is either seen here, or comes after the order.
        connection = await connections.get(db, asked.connection_id, org=context.org)
        if connection is None:
            raise connections.unknown()
        provider = configured_for(connection.provider, context.settings.providers).provider
        if provider.resource(asked.resource) is None:
            raise BadRequest(
                f"{provider.name} has no resource {quoted(asked.resource)}.",
                code="unknown_resource",
                field="resource",
            )
        connections.check_loadable(connection, provider)
        order = RefetchItems(
            connection_id=connection.id,
            resource=asked.resource,
            ids=tuple(ids),
            highest_version=await _highest_version(db, connection.id, asked.resource, ids),
        )
        sent = event(
            SYNCS,
            key=connection.id,
            kind="RefetchItems",
            source="gateway",
            body=order,
            traceparent=current_traceparent(),
        )
        await store.send(db, sent)
    return RefetchOrder(connection_id=connection.id, resource=asked.resource, ids=ids)


async def _highest_version(
    db: AsyncConnection, connection_id: str, resource: str, ids: Sequence[str]
) -> int:
    """Return the highest version of these items. Raises ``NotFound`` for one that is not known."""
    # PostgreSQL refuses a NUL character even in a lookup.
    keys = [(connection_id, resource, id_) for id_ in ids if "\0" not in id_]
    versions = await items.versions(db, keys)
    for id_ in ids:
        if (connection_id, resource, id_) not in versions:
            raise NotFound(f"There is no item {quoted(id_)} of {resource} here.")
    return max(versions.values())
