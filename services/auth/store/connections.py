"""Connections as the public snapshot; a change and the event that tells it are one call."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import ColumnElement, RowMapping, insert, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.auth import tables
from shared import outbox
from shared.contracts.connections import STARTS_SYNC, Account, Connection
from shared.contracts.envelope import event, new_id
from shared.contracts.topics import CONNECTIONS
from shared.errors import Conflict
from shared.telemetry import current_traceparent

_t = tables.connections


async def get(db: AsyncConnection, connection_id: str) -> Connection | None:
    row = (await db.execute(select(_t).where(_t.c.id == connection_id))).mappings().first()
    return None if row is None else _snapshot(row)


async def by_identity(db: AsyncConnection, like: Connection) -> Connection | None:
    """The connection of the same org, user, provider, client, account and grantee, disconnected or not."""
    same = _same_grant(like) & (_t.c.org_id == like.org_id) & (_t.c.user_id == like.user_id)
    row = (await db.execute(select(_t).where(same))).mappings().first()
    return None if row is None else _snapshot(row)


async def shares_grant(db: AsyncConnection, connection: Connection) -> bool:
    """Whether another connection that is not disconnected stands on the same consent at the provider."""
    others = _same_grant(connection) & (_t.c.id != connection.id) & (_t.c.status != "disconnected")
    return (await db.execute(select(_t.c.id).where(others).limit(1))).first() is not None


async def find(
    db: AsyncConnection, *, org_id: str | None = None, user_id: str | None = None, provider: str | None = None
) -> tuple[Connection, ...]:
    """Oldest first, without disconnected ones; a filter that is None does not apply."""
    wanted: ColumnElement[bool] = true()
    for column, value in ((_t.c.org_id, org_id), (_t.c.user_id, user_id), (_t.c.provider, provider)):
        if value is not None:
            wanted &= column == value
    query = select(_t).where(wanted, _t.c.status != "disconnected").order_by(_t.c.created_at, _t.c.id)
    return tuple(_snapshot(row) for row in (await db.execute(query)).mappings())


async def publish(db: AsyncConnection, connection: Connection, kind: str) -> None:
    """Write the snapshot and append its event. Version 1 is a new row, any other follows the version before it.

    Raises ``Conflict`` when another change came first.
    """
    values = _values(connection)
    if connection.version == 1:
        await db.execute(insert(_t).values(values))
    else:
        before = (_t.c.id == connection.id) & (_t.c.version == connection.version - 1)
        if (await db.execute(update(_t).where(before).values(values))).rowcount != 1:
            raise Conflict("The connection was changed by someone else at the same moment. Try again.")
    message = event(
        CONNECTIONS,
        key=connection.id,
        kind=kind,
        source="auth",
        body=connection,
        id=connection.sync_id if kind in STARTS_SYNC else new_id(),
        traceparent=current_traceparent(),
    )
    await outbox.append(db, tables.outbox, [message])


def _same_grant(like: Connection) -> ColumnElement[bool]:
    return (
        (_t.c.provider == like.provider)
        & (_t.c.client_id == like.client_id)
        & (_t.c.account_id == like.account.id)
        & (_t.c.grantee == (like.grantee or ""))
    )


def _values(connection: Connection) -> dict[str, Any]:
    values = msgspec.structs.asdict(connection)
    account = values.pop("account")
    lists = {"scopes": list(connection.scopes), "resources": list(connection.resources)}
    owner = {"account_id": account.id, "account_name": account.name, "grantee": connection.grantee or ""}
    return {**values, **lists, **owner}


def _snapshot(row: RowMapping) -> Connection:
    values: dict[str, Any] = {**row}
    account = Account(id=values.pop("account_id"), name=values.pop("account_name"))
    lists = {"scopes": tuple(values["scopes"]), "resources": tuple(values["resources"])}
    return Connection(**{**values, **lists, "account": account, "grantee": values["grantee"] or None})
