"""The opaque handle that the original client keeps as its credentials: it names a connection, it opens nothing else."""

from __future__ import annotations

import time
from typing import Final

import msgspec

from services.gateway.connect import queries as flows
from services.gateway.connections import queries as connections
from services.gateway.context import GatewayContext
from services.gateway.legacy.load import newest_connection
from shared.contracts.connections import Connection
from shared.errors import BadRequest

WAIT_S: Final = 5.0
_NONE: Final = "No credentials found. Connect the account first; if that failed, its window says why."


class Handle(msgspec.Struct, frozen=True, kw_only=True):
    connection: str


def handle_for(connection: Connection, *, context: GatewayContext) -> dict[str, str]:
    signed = context.handles.sign(connection.id.encode(), connection.provider)
    return {"connection": signed, "provider": connection.provider, "status": connection.status}


async def given_handle(text: str, *, provider: str, context: GatewayContext) -> Connection:
    """The connection that a handle, as JSON text, was given out for. Raises ``BadRequest`` or ``BadToken``."""
    try:
        handle = msgspec.json.decode(text, type=Handle)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        raise BadRequest("credentials has to be the JSON that /credentials answered.", code="bad_handle") from None
    id_ = context.handles.verify(handle.connection, provider).decode()
    async with context.database.read() as db:
        connection = await connections.get(db, id_, org=context.org)
    if connection is None or connection.status == "disconnected":
        raise BadRequest("This account was disconnected. Connect it again.", code="not_connected")
    return connection


async def pending_handle(*, provider: str, org_id: str, user_id: str, context: GatewayContext) -> dict[str, str]:
    """The handle of the newest active connection.

    Without one it waits up to five seconds, but only while a consent of that user is on its way: the original client
    asks once, and may ask too early when a page of the popup's way cut the popup off from its opener.

    Raises ``BadRequest`` when there is none, ``Forbidden`` for another organisation than the caller's.
    """
    context.check_org(org_id)
    deadline = time.monotonic() + WAIT_S
    while True:
        found = await newest_connection(provider=provider, org_id=org_id, user_id=user_id, context=context)
        if found is not None:
            return handle_for(found, context=context)
        async with context.database.read() as db:
            waiting = await flows.pending(db, org_id=org_id, user_id=user_id, provider=provider)
        left = deadline - time.monotonic()
        if not waiting or left <= 0:
            raise BadRequest(_NONE, code="not_connected")
        await context.watch.wait(min(left, 0.5))
