"""How far a sync has come, resource by resource."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.connections import queries as connections
from services.gateway.context import GatewayContext
from services.gateway.syncs import queries as syncs
from services.gateway.syncs.queries import Progress, Sync
from shared.contracts.envelope import timestamp
from shared.contracts.progress import JobState, Problem, Receipt, Waiting
from shared.errors import NotFound

SyncState = Literal["running", "done", "partial", "failed"]


class ResourceState(msgspec.Struct, frozen=True, kw_only=True):
    """``items`` counts distinct items read so far, ``expected`` those the provider says there are, if it says so.

    A resource is ``running`` until all of its items can be read here. ``waiting`` says why it does not run now.
    """

    resource: str
    state: JobState
    pages: int = 0
    items: int = 0
    expected: int | None = None
    waiting: Waiting | None = None
    error: Problem | None = None
    receipt: Receipt | None = None
    started: str | None = None
    ended: str | None = None


class SyncView(msgspec.Struct, frozen=True, kw_only=True):
    """``state`` is ``partial`` when some resource failed or stayed incomplete, ``failed`` when all of them failed."""

    id: str
    connection_id: str
    mode: str
    why: str
    state: SyncState
    resources: tuple[ResourceState, ...]
    created: str
    ended: str | None = None


async def describe_sync(sync_id: str, *, context: GatewayContext) -> SyncView:
    """Raises ``NotFound``."""
    async with context.database.read() as db:
        sync = await _seen(db, sync_id, context)
        return await view(db, sync)


async def newest_event(sync_id: str, *, context: GatewayContext) -> int:
    """The highest revision there is, of any sync: an event id above it was given out before the rows were made anew.

    Raises ``NotFound``.
    """
    async with context.database.read() as db:
        await _seen(db, sync_id, context)
        return await syncs.newest_revision(db)


async def progress_since(sync_id: str, after: int, *, context: GatewayContext) -> tuple[SyncView, list[Progress]]:
    """The sync and, of the same moment, what became known of its jobs behind revision ``after``, in order.

    Raises ``NotFound``.
    """
    async with context.database.read() as db:
        sync = await _seen(db, sync_id, context)
        return await view(db, sync), await syncs.progress(db, sync_id, after=after)


async def _seen(db: AsyncConnection, sync_id: str, context: GatewayContext) -> Sync:
    """A sync has the organisation of its connection. Raises ``NotFound``."""
    sync = await syncs.get(db, sync_id)
    if sync is None or (
        context.org is not None and await connections.get(db, sync.connection, org=context.org) is None
    ):
        raise NotFound("There is no such sync.")
    return sync


async def view(db: AsyncConnection, sync: Sync) -> SyncView:
    states = resource_states(await syncs.progress(db, sync.id))
    shown = tuple(
        states.get(resource) or ResourceState(resource=resource, state="queued") for resource in sync.resources
    )
    return SyncView(
        id=sync.id,
        connection_id=sync.connection,
        mode=sync.mode,
        why=sync.why,
        state=_state(shown),
        resources=shown,
        created=timestamp(sync.created),
        ended=None if sync.ended is None else timestamp(sync.ended),
    )


def resource_states(known: Iterable[Progress]) -> dict[str, ResourceState]:
    return {one.body.resource: _resource(one) for one in known}


def _resource(known: Progress) -> ResourceState:
    body = known.body
    ended = body.state in {"done", "incomplete", "failed"}
    return ResourceState(
        resource=body.resource,
        state="running" if ended and not known.over else body.state,
        pages=body.pages,
        items=body.items,
        expected=body.expected,
        waiting=body.waiting if body.state == "waiting" else None,
        error=body.error if known.over else None,
        receipt=body.receipt if known.over else None,
        started=body.started,
        ended=body.ended if known.over else None,
    )


def _state(resources: tuple[ResourceState, ...]) -> SyncState:
    states = {resource.state for resource in resources}
    if not states <= {"done", "incomplete", "failed"}:
        return "running"
    if states == {"failed"}:
        return "failed"
    return "done" if states == {"done"} else "partial"
