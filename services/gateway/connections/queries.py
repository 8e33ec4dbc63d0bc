"""Queries on connections, as auth published them, and on consents that are still pending."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from sqlalchemy import Text, bindparam, delete, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.http.fields import TIME
from services.gateway.tables import connections, flows, items, resources, syncs
from shared import clock
from shared.connector import Provider
from shared.contracts.auth import Flow
from shared.contracts.connections import Connection
from shared.contracts.progress import JobProgress, PartOutcome
from shared.contracts.vocabulary import ConnectionId, ResourceSlug
from shared.db import in_array, json_array
from shared.errors import Conflict, NotFound

ConnectionMark = tuple[str, str]
"""When a connection was created, and its id: where a page of a listing ended."""
# As long as auth's links are valid.
FLOW_LIFETIME_S: Final = 600.0
_STANDING: Final = select(connections.c.id, connections.c.generation, connections.c.status).where(
    in_array(connections.c.id, bindparam("ids", type_=Text))
)
_NEW_END: Final = upsert(resources)
_SAVE_END: Final = _NEW_END.on_conflict_do_update(
    index_elements=["connection_id", "resource"],
    set_={
        "ended_at": _NEW_END.excluded.ended_at,
        "complete_at": func.coalesce(_NEW_END.excluded.complete_at, resources.c.complete_at),
        "stale": _NEW_END.excluded.stale,
    },
    where=resources.c.ended_at <= _NEW_END.excluded.ended_at,
)


class StaleResource(msgspec.Struct, frozen=True, kw_only=True):
    """A resource that its last sync could not read completely.

    Its items stay as they were last read: no item is deleted, or sent again, because of this.
    """

    connection_id: ConnectionId
    resource: ResourceSlug
    stale_since: Annotated[
        str | None,
        Meta(
            description="When all of it was last read; null if it never was.",
            examples=["2026-01-30T09:30:00.000Z"],
            extra_json_schema=TIME,
        ),
    ] = None
    code: Annotated[str, Meta(description="A stable code for programs.", examples=["forbidden"])]
    detail: Annotated[
        str,
        Meta(
            description="What happened and what to do about it, for people.",
            examples=["Acme refused the table “Plums”. Give the account access to it."],
        ),
    ]
    parts: Annotated[
        tuple[PartOutcome, ...],
        Meta(
            description="The parts of it that are stale, at most 200; empty if all of it is stale."
        ),
    ] = ()


def left_stale(body: JobProgress) -> StaleResource | None:
    """Return what a job that has ended leaves stale; None when it has read all parts."""
    parts = body.receipt.parts if body.receipt else None
    left = () if parts is None else (*parts.named, *parts.unreached)
    # A record that nobody can read costs only itself.
    if body.error is None or (parts is not None and not left):
        return None
    return StaleResource(
        connection_id=body.connection_id,
        resource=body.resource,
        code=body.error.code,
        detail=body.error.detail,
        parts=left,
    )


async def get(db: AsyncConnection, id_: str, *, org: str | None = None) -> Connection | None:
    """Return the connection, or None. With ``org``, only if it belongs to that organisation."""
    query = select(connections.c.snapshot).where(connections.c.id == id_)
    if org is not None:
        query = query.where(connections.c.org_id == org)
    raw = (await db.execute(query)).scalar()
    return None if raw is None else msgspec.json.decode(raw, type=Connection)


def unknown() -> NotFound:
    """Return the error for an id that no connection has, or none of the caller's organisation."""
    return NotFound("There is no such connection. GET /v1/connections lists those there are.")


def check_loadable(connection: Connection, provider: Provider) -> None:
    """Raise ``Conflict`` for a connection that cannot be synced."""
    if connection.status == "disconnected":
        raise Conflict(
            "This account was disconnected. Connect it again to sync it.", code="disconnected"
        )
    if connection.status == "reauth_required":
        raise Conflict(
            f"{provider.name} no longer accepts this connection. Connect the account again.",
            code="reauth_required",
        )


async def find(
    db: AsyncConnection,
    *,
    org_id: str | None = None,
    user_id: str | None = None,
    provider: str | None = None,
    statuses: Collection[str] = ("active", "degraded", "reauth_required"),
    after: ConnectionMark | None = None,
    limit: int | None = None,
) -> list[Connection]:
    """Return the connections that match, oldest first; disconnected ones only on request."""
    query = select(connections.c.snapshot).where(connections.c.status.in_(statuses))
    for column, wanted in (("org_id", org_id), ("user_id", user_id), ("provider", provider)):
        if wanted is not None:
            query = query.where(connections.c[column] == wanted)
    if after is not None:
        query = query.where(tuple_(connections.c.created_at, connections.c.id) > tuple_(*after))
    rows = await db.execute(query.order_by(connections.c.created_at, connections.c.id).limit(limit))
    return [msgspec.json.decode(raw, type=Connection) for raw in rows.scalars()]


async def save(db: AsyncConnection, snapshot: Connection) -> bool:
    """Keep the snapshot if it is newer than the stored one. Return False for an older one."""
    row = {
        "id": snapshot.id,
        "version": snapshot.version,
        "generation": snapshot.generation,
        "org_id": snapshot.org_id,
        "user_id": snapshot.user_id,
        "provider": snapshot.provider,
        "status": snapshot.status,
        "created_at": snapshot.created_at,
        "snapshot": msgspec.json.encode(snapshot),
    }
    statement = upsert(connections).values(row)
    # Snapshots come from the topic and from auth's own answers, so an older one may come later.
    newer = statement.on_conflict_do_update(
        index_elements=["id"], set_=row, where=connections.c.version < snapshot.version
    )
    return (await db.execute(newer)).rowcount == 1


async def open_generations(db: AsyncConnection, ids: Collection[str]) -> dict[str, int]:
    """Return connection → the lowest generation whose items count; a disconnect closes its own."""
    rows = await db.execute(_STANDING, {"ids": json_array(ids)})
    return {id_: generation + (status == "disconnected") for id_, generation, status in rows}


async def item_counts(db: AsyncConnection, connection_id: str) -> dict[str, int]:
    """Return resource → number of items that can be read."""
    query = (
        select(items.c.resource, func.count())
        .where(items.c.connection_id == connection_id, items.c.deleted == False)  # noqa: E712
        .group_by(items.c.resource)
    )
    return {resource: int(count) for resource, count in await db.execute(query)}


async def save_end(db: AsyncConnection, body: JobProgress) -> None:
    """Keep when the resource of an ended job was last read completely, and what is stale of it.

    Nothing of a disconnected account is stale: it is all deleted. Its jobs may end after that.
    """
    status = await db.scalar(
        select(connections.c.status).where(connections.c.id == body.connection_id)
    )
    if status == "disconnected":
        return
    done = body.state == "done"
    left = None if done else left_stale(body)
    row = {
        "connection_id": body.connection_id,
        "resource": body.resource,
        "ended_at": body.ended_at or "",
        "complete_at": body.ended_at if done else None,
        "stale": None if left is None else msgspec.json.encode(left),
    }
    await db.execute(_SAVE_END, row)


async def last_complete_at(db: AsyncConnection, connection_id: str, resource: str) -> str | None:
    """Return when the resource was last read completely, RFC 3339; None when it never was."""
    found: str | None = await db.scalar(
        select(resources.c.complete_at).where(
            resources.c.connection_id == connection_id, resources.c.resource == resource
        )
    )
    return found


async def stale_resources(db: AsyncConnection, ids: Collection[str]) -> list[StaleResource]:
    """Return what is stale of these connections, by connection and resource."""
    query = select(resources.c.stale, resources.c.complete_at).where(
        resources.c.stale.is_not(None),
        in_array(resources.c.connection_id, bindparam("ids", type_=Text)),
    )
    in_order = query.order_by(resources.c.connection_id, resources.c.resource)
    rows = await db.execute(in_order, {"ids": json_array(ids)})
    return [
        msgspec.structs.replace(
            msgspec.json.decode(row.stale, type=StaleResource), stale_since=row.complete_at
        )
        for row in rows
    ]


async def forget_resources(db: AsyncConnection, connection_id: str) -> None:
    await db.execute(delete(resources).where(resources.c.connection_id == connection_id))


async def newest_sync_id(db: AsyncConnection, connection_id: str) -> str | None:
    """Return the id of the newest sync of a connection, whatever it asked for."""
    newest = select(syncs.c.id).where(syncs.c.connection_id == connection_id)
    found: str | None = await db.scalar(
        newest.order_by(syncs.c.requested_at.desc(), syncs.c.id.desc()).limit(1)
    )
    return found


async def add_flow(db: AsyncConnection, flow: Flow) -> None:
    """Remember a pending consent, and forget those that nobody finished in time."""
    now = clock.now()
    await db.execute(delete(flows).where(flows.c.expires_at < now))
    row = {name: getattr(flow, name) for name in ("org_id", "user_id", "provider")}
    added = upsert(flows).values(id=flow.flow_id, expires_at=now + FLOW_LIFETIME_S, **row)
    await db.execute(added.on_conflict_do_nothing())


async def forget_flow(db: AsyncConnection, flow_id: str) -> None:
    await db.execute(delete(flows).where(flows.c.id == flow_id))


async def has_pending_flow(
    db: AsyncConnection, *, org_id: str, user_id: str, provider: str
) -> bool:
    query = select(flows.c.id).where(
        flows.c.org_id == org_id,
        flows.c.user_id == user_id,
        flows.c.provider == provider,
        flows.c.expires_at > clock.now(),
    )
    return (await db.execute(query.limit(1))).first() is not None
