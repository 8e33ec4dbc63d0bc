"""Order the deletion of a part's items: of those that are held, or of all of them."""

from __future__ import annotations

import msgspec

from services.gateway import store
from services.gateway.connections import queries as connections
from services.gateway.context import GatewayContext
from services.gateway.store import READ_MODEL
from services.gateway.syncs import queries as syncs
from shared.contracts.envelope import event
from shared.contracts.progress import Receipt
from shared.contracts.syncs import ConfirmDeletions, RemovePart
from shared.contracts.topics import SYNCS
from shared.contracts.vocabulary import ConnectionId, PartId, ResourceSlug
from shared.errors import Conflict, NotFound, quoted
from shared.telemetry import current_traceparent


class PartOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order that was accepted. The items go within seconds, each with a deletion of its own."""

    connection_id: ConnectionId
    resource: ResourceSlug
    part: PartId


async def confirm_deletions(
    connection_id: str, resource: str, part: str, *, context: GatewayContext
) -> PartOrder:
    """Let go the deletions of a part that are held. The order is stored when this returns.

    Raises ``NotFound`` for a part of which the newest receipt holds nothing, and ``Conflict`` for a
    connection that was disconnected.
    """
    order = ConfirmDeletions(connection_id=connection_id, resource=resource, part=part)
    return await _ordered(order, context=context)


async def remove_part(
    connection_id: str, resource: str, part: str, *, context: GatewayContext
) -> PartOrder:
    """Delete all items of a part that cannot be read. The order is stored when this returns.

    Raises ``NotFound`` for a part that the newest receipt does not name as not read, although it
    names all, and ``Conflict`` for a connection that was disconnected.
    """
    order = RemovePart(connection_id=connection_id, resource=resource, part=part)
    return await _ordered(order, context=context)


async def _ordered(order: ConfirmDeletions | RemovePart, *, context: GatewayContext) -> PartOrder:
    async with context.database.write(lock=READ_MODEL) as db:
        # Read under the lock: a disconnect is either seen here, or comes after the order.
        connection = await connections.get(db, order.connection_id, org=context.org)
        if connection is None:
            raise connections.unknown()
        if connection.status == "disconnected":
            raise Conflict(
                "This account was disconnected: its items go anyway.", code="disconnected"
            )
        receipt = await syncs.newest_receipt(db, order.connection_id, order.resource)
        if not _fits(order, receipt):
            raise NotFound(_unknown(order), code="unknown_part")
        sent = event(
            SYNCS,
            key=order.connection_id,
            kind=type(order).__name__,
            source="gateway",
            body=order,
            traceparent=current_traceparent(),
        )
        await store.send(db, sent)
    return PartOrder(connection_id=order.connection_id, resource=order.resource, part=order.part)


def _fits(order: ConfirmDeletions | RemovePart, receipt: Receipt | None) -> bool:
    """Return whether the receipt says of the part what the order needs, or may lack its name.

    The fetcher looks at the part itself before it deletes anything.
    """
    if receipt is None:
        return False
    if isinstance(order, ConfirmDeletions):
        return order.part in {one.part for one in receipt.held or ()}
    if receipt.parts is None:
        return False
    unread = (*receipt.parts.named, *receipt.parts.unreached)
    return order.part in {one.part for one in unread} or not receipt.parts.names_all


def _unknown(order: ConfirmDeletions | RemovePart) -> str:
    said = {
        ConfirmDeletions: "holds no deletions of a part",
        RemovePart: "names no part that was not read whole as",
    }[type(order)]
    return (
        f"The newest sync of {quoted(order.resource)} {said} {quoted(order.part)}. "
        "The receipts of GET /v1/syncs/{sync_id} name the parts."
    )
