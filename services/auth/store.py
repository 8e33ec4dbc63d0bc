"""Read and write flows and connections, and prove the keys. ``credentials`` keeps the tokens.

Every function works in the caller's transaction and never commits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, RowMapping, Select, delete, insert, select, true, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.auth.tables import canary, connections, flows, log_marks, outbox
from shared.contracts.auth import ErrorBody, FlowStatus
from shared.contracts.connections import STARTS_SYNC, Account, Connection
from shared.contracts.envelope import event, new_id
from shared.contracts.topics import CONNECTIONS
from shared.crypto import KeyRing, check_canary, make_canary
from shared.db import Database
from shared.errors import Conflict
from shared.kafka import Producer
from shared.log_marks import LogMarks
from shared.outbox import Relay, append
from shared.telemetry import current_traceparent


class FlowRow(msgspec.Struct, frozen=True, kw_only=True):
    """A consent on its way.

    Its sealed values are bound to (org, flow, ``state`` or ``verifier``).
    """

    id: str
    provider: str
    org_id: str
    user_id: str
    return_url: str | None
    redirect_uri: str
    status: FlowStatus = "pending"
    connection_id: str | None = None
    error_code: str | None = None
    error_detail: str | None = None
    created_at: float
    expires_at: float
    state_hash: str
    state_sealed: str
    verifier_sealed: str
    nonce_hash: str | None = None
    used: int = 0


async def add_flow(db: AsyncConnection, flow: FlowRow) -> None:
    await db.execute(insert(flows).values(msgspec.structs.asdict(flow)))


async def get_flow(db: AsyncConnection, flow_id: str) -> FlowRow | None:
    return await _one_flow(db, select(flows).where(flows.c.id == flow_id))


async def flow_by_state(db: AsyncConnection, state_hash: str) -> FlowRow | None:
    return await _one_flow(db, select(flows).where(flows.c.state_hash == state_hash))


async def bind_flow(db: AsyncConnection, flow_id: str, nonce_hash: str) -> None:
    """Let only the browser that carries this nonce finish the flow from now on."""
    await db.execute(update(flows).where(flows.c.id == flow_id).values(nonce_hash=nonce_hash))


async def spend_flow(db: AsyncConnection, flow: FlowRow, *, now: float, finish_by: float) -> bool:
    """Return True to exactly one caller, and only before the flow expires."""
    # Another browser may have opened the link since the cookie was checked: compare the nonce
    # again.
    unspent = (
        (flows.c.id == flow.id)
        & (flows.c.used == 0)
        & (flows.c.expires_at > now)
        & (flows.c.nonce_hash == flow.nonce_hash)
    )
    spent = await db.execute(update(flows).where(unspent).values(used=1, expires_at=finish_by))
    return spent.rowcount == 1


async def complete_flow(db: AsyncConnection, flow_id: str, connection_id: str) -> None:
    await db.execute(
        update(flows)
        .where(flows.c.id == flow_id)
        .values(status="connected", connection_id=connection_id)
    )


async def fail_flow(db: AsyncConnection, flow_id: str, error: ErrorBody) -> None:
    pending = (flows.c.id == flow_id) & (flows.c.status == "pending")
    await db.execute(
        update(flows)
        .where(pending)
        .values(status="failed", error_code=error.code, error_detail=error.detail)
    )


async def forget_flows(db: AsyncConnection, *, created_before: float) -> int:
    return (await db.execute(delete(flows).where(flows.c.created_at < created_before))).rowcount


async def _one_flow(db: AsyncConnection, query: Select[tuple[object, ...]]) -> FlowRow | None:
    row = (await db.execute(query)).mappings().first()
    return None if row is None else FlowRow(**row)


async def get_connection(db: AsyncConnection, connection_id: str) -> Connection | None:
    row = (
        (await db.execute(select(connections).where(connections.c.id == connection_id)))
        .mappings()
        .first()
    )
    return None if row is None else _snapshot(row)


async def connection_by_identity(db: AsyncConnection, like: Connection) -> Connection | None:
    """Return the connection of the same identity, disconnected or not.

    That is the same org, user, provider, client, account and grantee.
    """
    same = (
        _same_grant(like)
        & (connections.c.org_id == like.org_id)
        & (connections.c.user_id == like.user_id)
    )
    row = (await db.execute(select(connections).where(same))).mappings().first()
    return None if row is None else _snapshot(row)


async def shares_grant(db: AsyncConnection, connection: Connection) -> bool:
    """Return whether another live connection uses the same grant at the provider."""
    others = (
        _same_grant(connection)
        & (connections.c.id != connection.id)
        & (connections.c.status != "disconnected")
    )
    return (await db.execute(select(connections.c.id).where(others).limit(1))).first() is not None


async def find_connections(
    db: AsyncConnection,
    *,
    org_id: str | None = None,
    user_id: str | None = None,
    provider: str | None = None,
) -> tuple[Connection, ...]:
    """Return the connections that are not disconnected, oldest first. None means no filter."""
    wanted: ColumnElement[bool] = true()
    for column, value in (
        (connections.c.org_id, org_id),
        (connections.c.user_id, user_id),
        (connections.c.provider, provider),
    ):
        if value is not None:
            wanted &= column == value
    query = (
        select(connections)
        .where(wanted, connections.c.status != "disconnected")
        .order_by(connections.c.created_at, connections.c.id)
    )
    return tuple(_snapshot(row) for row in (await db.execute(query)).mappings())


async def every_connection(db: AsyncConnection) -> tuple[Connection, ...]:
    """Return all of them, disconnected ones too, oldest first."""
    query = select(connections).order_by(connections.c.created_at, connections.c.id)
    return tuple(_snapshot(row) for row in (await db.execute(query)).mappings())


async def untold(db: AsyncConnection, told: set[str]) -> bool:
    """Return whether a connection is neither among those ``told`` of nor in the outbox."""
    known = set((await db.execute(select(connections.c.id))).scalars())
    waiting = {key.decode() for key in (await db.execute(select(outbox.c.key))).scalars()}
    return bool(known - told - waiting)


async def take_over(db: AsyncConnection, told: Connection) -> None:
    """Write a snapshot that has been published, whatever is known of the connection."""
    values = _values(told)
    statement = upsert(connections).values(values)
    await db.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))


async def forget_unsent(db: AsyncConnection) -> None:
    """Empty the outbox."""
    await db.execute(delete(outbox))


async def publish(db: AsyncConnection, connection: Connection, kind: str) -> None:
    """Write the snapshot and append its event to the outbox.

    Version 1 is a new row. Any other replaces the version before it.

    Raises:
        Conflict: another change came first.
    """
    values = _values(connection)
    if connection.version == 1:
        await db.execute(insert(connections).values(values))
    else:
        before = (connections.c.id == connection.id) & (
            connections.c.version == connection.version - 1
        )
        if (await db.execute(update(connections).where(before).values(values))).rowcount != 1:
            raise Conflict("Somebody else changed the connection at the same moment. Try again.")
    message = event(
        CONNECTIONS,
        key=connection.id,
        kind=kind,
        source="auth",
        body=connection,
        id=connection.sync_id if kind in STARTS_SYNC else new_id(),
        traceparent=current_traceparent(),
    )
    await append(db, outbox, [message])


def _same_grant(like: Connection) -> ColumnElement[bool]:
    return (
        (connections.c.provider == like.provider)
        & (connections.c.client_id == like.client_id)
        & (connections.c.account_id == like.account.id)
        & (connections.c.grantee == (like.grantee or ""))
    )


def _values(connection: Connection) -> dict[str, Any]:
    values = msgspec.structs.asdict(connection)
    account = values.pop("account")
    lists = {"scopes": list(connection.scopes), "resources": list(connection.resources)}
    owner = {
        "account_id": account.id,
        "account_name": account.name,
        "grantee": connection.grantee or "",
    }
    return {**values, **lists, **owner}


def _snapshot(row: RowMapping) -> Connection:
    values: dict[str, Any] = {**row}
    account = Account(id=values.pop("account_id"), name=values.pop("account_name"))
    lists = {"scopes": tuple(values["scopes"]), "resources": tuple(values["resources"])}
    return Connection(
        **{**values, **lists, "account": account, "grantee": values["grantee"] or None}
    )


async def prove_keys(db: AsyncConnection, keyring: KeyRing) -> None:
    """Check that the keys are those that sealed the data. The first start leaves the proof.

    Raises:
        DecryptFailed, UnknownKey: they are not.
    """
    sealed = (await db.execute(select(canary.c.sealed))).scalar()
    if sealed is None:
        await db.execute(insert(canary).values(id=1, sealed=make_canary(keyring)))
    else:
        check_canary(keyring, sealed)


WRITTEN: Final = {CONNECTIONS: outbox}
"""The topics that auth fills, and from which table."""


def marks(log_ids: Mapping[str, str]) -> LogMarks:
    return LogMarks(log_marks, log_ids)


def relay(database: Database, producer: Producer, marks: LogMarks | None) -> Relay:
    return Relay(database, outbox, producer, marks=marks)
