"""The progress of a sync, resource by resource."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.connections import queries as connections
from services.gateway.connections.queries import StaleResource
from services.gateway.context import GatewayContext
from services.gateway.http.fields import TIME
from services.gateway.syncs import queries as syncs
from services.gateway.syncs.queries import Progress, Sync
from shared.contracts.envelope import timestamp
from shared.contracts.progress import FINAL, JobError, Receipt
from shared.contracts.vocabulary import (
    AskedToWaitUntil,
    ConnectionId,
    EndedAt,
    ItemsExpected,
    ItemsRead,
    PagesRead,
    RequestedAt,
    ResourceSlug,
    StartedAt,
    SyncId,
    SyncMode,
    SyncState,
    Trigger,
    WaitingCode,
    WaitingReason,
    WaitingUntil,
)
from shared.errors import NotFound


class ResourceState(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of one resource of a sync.

    It ends only when all of its items can be read here.
    """

    resource: ResourceSlug
    state: SyncState
    pages: PagesRead = 0
    items: ItemsRead = 0
    expected: ItemsExpected = None
    waiting_reason: WaitingReason = None
    waiting_code: WaitingCode = None
    waiting_until: WaitingUntil = None
    asked_to_wait_until: AskedToWaitUntil = None
    error: Annotated[
        JobError | None, Meta(description="Why it failed or is incomplete; else null.")
    ] = None
    receipt: Annotated[
        Receipt | None,
        Meta(description="What was counted, read, sent and dropped; null until it ends."),
    ] = None
    started_at: StartedAt = None
    ended_at: EndedAt = None


class SyncView(msgspec.Struct, frozen=True, kw_only=True):
    """A sync, resource by resource.

    It is ``queued`` until the first page of any resource was read, ``waiting`` while nothing runs
    and something waits, ``incomplete`` when some of it was not read, and ``failed`` when no
    resource could be read.
    """

    id: SyncId
    connection_id: ConnectionId
    mode: SyncMode
    trigger: Trigger
    state: SyncState
    waiting_reason: WaitingReason = None
    waiting_code: WaitingCode = None
    waiting_until: WaitingUntil = None
    resources: Annotated[
        tuple[ResourceState, ...],
        Meta(description="The progress of each resource, in the provider's order."),
    ]
    stale: Annotated[
        tuple[StaleResource, ...],
        Meta(
            description="Those of its resources that it could not read completely, and no later "
            "sync has."
        ),
    ] = ()
    as_of: Annotated[
        str | None,
        Meta(
            description="When its oldest page was read; null until a resource has ended. What has "
            "changed at the provider since may be missing. If that is more than an hour before the "
            "end, the resource is read again in the background.",
            examples=["2026-01-31T09:29:58.000Z"],
            extra_json_schema=TIME,
        ),
    ] = None
    requested_at: RequestedAt
    ended_at: EndedAt = None


async def describe_sync(sync_id: str, *, context: GatewayContext) -> SyncView:
    """Return a sync. Raises ``NotFound``."""
    async with context.database.read() as db:
        sync = await seen(db, sync_id, context)
        return await view(db, sync)


async def newest_event(sync_id: str, *, context: GatewayContext) -> int:
    """Return the highest revision of any sync.

    A higher event id is from before the rows were rebuilt. Raises ``NotFound``.
    """
    async with context.database.read() as db:
        await seen(db, sync_id, context)
        return await syncs.newest_revision(db)


async def progress_since(
    sync_id: str, after: int, *, context: GatewayContext
) -> tuple[SyncView, list[Progress]]:
    """Return the sync, and the changes of its jobs after revision ``after``, in order.

    Both are of the same moment. Raises ``NotFound``.
    """
    async with context.database.read() as db:
        sync = await seen(db, sync_id, context)
        return await view(db, sync), await syncs.progress(db, sync_id, after=after)


async def seen(db: AsyncConnection, sync_id: str, context: GatewayContext) -> Sync:
    """Return the sync if its connection belongs to the organisation. Raises ``NotFound``."""
    sync = await syncs.get(db, sync_id)
    if sync is None or (
        context.org is not None
        and await connections.get(db, sync.connection_id, org=context.org) is None
    ):
        raise NotFound("There is no such sync.")
    return sync


async def view(db: AsyncConnection, sync: Sync) -> SyncView:
    known = resource_states(await syncs.progress(db, sync.id))
    shown = tuple(
        known.get(slug) or ResourceState(resource=slug, state="queued") for slug in sync.resources
    )
    state = _state(shown)
    waiting = _next_to_go_on(shown) if state == "waiting" else None
    oldest = [one.receipt.as_of for one in shown if one.receipt and one.receipt.as_of]
    flawed = {one.resource for one in shown if one.state in {"incomplete", "failed"}}
    stale = await connections.stale_resources(db, [sync.connection_id]) if flawed else []
    return SyncView(
        id=sync.id,
        connection_id=sync.connection_id,
        mode=sync.mode,
        trigger=sync.trigger,
        state=state,
        waiting_reason=waiting.waiting_reason if waiting else None,
        waiting_code=waiting.waiting_code if waiting else None,
        waiting_until=waiting.waiting_until if waiting else None,
        resources=shown,
        stale=tuple(one for one in stale if one.resource in flawed),
        as_of=min(oldest, default=None),
        requested_at=timestamp(sync.requested_at),
        ended_at=None if sync.ended_at is None else timestamp(sync.ended_at),
    )


def resource_states(known: Iterable[Progress]) -> dict[str, ResourceState]:
    return {one.body.resource: _resource(one) for one in known}


def _resource(known: Progress) -> ResourceState:
    body = known.body
    waits = body.state == "waiting"
    return ResourceState(
        resource=body.resource,
        # The provider was read to the end, but whoever is told `done` must find all the items here.
        state="running" if body.state in FINAL and not known.over else body.state,
        pages=body.pages,
        items=body.items,
        expected=body.expected,
        waiting_reason=body.waiting_reason if waits else None,
        waiting_code=body.waiting_code if waits else None,
        waiting_until=body.waiting_until if waits else None,
        asked_to_wait_until=body.asked_to_wait_until if waits else None,
        error=body.error if known.over else None,
        receipt=body.receipt if known.over else None,
        started_at=body.started_at,
        ended_at=body.ended_at if known.over else None,
    )


def _state(resources: Sequence[ResourceState]) -> SyncState:
    states = {resource.state for resource in resources}
    if states <= FINAL:
        if len(states) > 1:
            return "incomplete"
        return next(iter(states), "done")
    if "waiting" in states and "running" not in states:
        return "waiting"
    untouched = not states & FINAL and not any(resource.pages for resource in resources)
    return "queued" if untouched else "running"


def _next_to_go_on(resources: Iterable[ResourceState]) -> ResourceState:
    """Return the waiting resource that goes on first; one without a time comes last."""
    waiting = (resource for resource in resources if resource.state == "waiting")
    # "~" sorts after every digit.
    return min(waiting, key=lambda resource: resource.waiting_until or "~")
