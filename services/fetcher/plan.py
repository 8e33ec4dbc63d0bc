"""Listen for connections and requests, and turn them into jobs.

A sync gets one job for each resource, or joins a job that already does the work.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher import known_items, parts, store
from services.fetcher.jobs import queries, transitions
from services.fetcher.jobs.queries import Job, new_job
from services.fetcher.jobs.transitions import PROVIDER_UNKNOWN
from services.fetcher.orders import plan_confirmation, plan_removal
from shared import clock
from shared.connector import Provider
from shared.contracts import connections, syncs
from shared.contracts.connections import Connection
from shared.contracts.envelope import decode
from shared.contracts.progress import JobError
from shared.contracts.syncs import (
    Command,
    ConfirmDeletions,
    RefetchItems,
    RemovePart,
    RetrySync,
    SyncRequested,
)
from shared.contracts.topics import CONNECTIONS, SYNCS
from shared.db import Database
from shared.kafka import ConsumedRecord, Consumers

# Nothing orders two topics: a connection may arrive after its first request.
UNKNOWN_CONNECTION_S: Final = 60.0

log = structlog.get_logger()


def listen(consumers: Consumers, *, database: Database, providers: Mapping[str, Provider]) -> None:
    """Plan whatever arrives on the topics of connections and sync requests."""

    async def on_connection(record: ConsumedRecord) -> None:
        if record.value is None:
            return
        _, snapshot = decode(record.value, record.headers, connections.KINDS)
        async with database.write(lock=snapshot.id) as db:
            await plan_connection(db, snapshot, providers=providers)

    async def on_sync(record: ConsumedRecord) -> None:
        _, request = decode(record.value, record.headers, syncs.KINDS)
        async with database.write(lock=request.connection_id) as db:
            await _carry_out(db, request, providers)

    consumers.each(CONNECTIONS, on_connection)
    consumers.each(SYNCS, on_sync)


async def _carry_out(
    db: AsyncConnection, order: Command, providers: Mapping[str, Provider]
) -> None:
    match order:
        case SyncRequested():
            await plan_sync(db, order, providers=providers)
        case RefetchItems():
            await plan_refetch(db, order, providers=providers)
        case ConfirmDeletions():
            await plan_confirmation(db, order)
        case RemovePart():
            await plan_removal(db, order)
        case RetrySync():
            await plan_retry(db, order)


async def plan_connection(
    db: AsyncConnection, snapshot: Connection, *, providers: Mapping[str, Provider]
) -> None:
    """Apply a connection's snapshot: sync what is new, purge what is gone.

    A snapshot that is older than the known one changes nothing.
    """
    # Compaction keeps only the newest event of a connection, so go by the snapshot and not by the
    # kind of its event: a sync that was never planned is new, and an older generation has ended
    # even if its ``Disconnected`` never came.
    before = await store.connection(db, snapshot.id)
    provider = providers.get(snapshot.provider)
    # A purge needs a slot, but nothing else from the provider.
    parallel = 1 if provider is None else provider.parallel
    if not await store.save_connection(db, snapshot, parallel=parallel):
        return
    live_before = before is not None and before.status != "disconnected"
    if snapshot.status == "disconnected":
        await _purge(db, snapshot, generation=snapshot.generation)
    elif before is not None and live_before and before.generation < snapshot.generation:
        await _purge(db, snapshot, generation=before.generation)
    if snapshot.status != "disconnected" and snapshot.sync_id:
        await _load(db, snapshot, sync_id=snapshot.sync_id, resources=None, providers=providers)
    for request in await store.take_put_aside(db, snapshot.id):
        await plan_sync(db, request, providers=providers)


async def plan_sync(
    db: AsyncConnection, request: SyncRequested, *, providers: Mapping[str, Provider]
) -> None:
    """Create or join a job for each resource. Wait a minute for a connection that is unknown."""
    snapshot = await store.connection(db, request.connection_id)
    if snapshot is not None:
        await _load(
            db,
            snapshot,
            sync_id=request.sync_id,
            resources=request.resources,
            providers=providers,
            background=request.background,
        )
    elif not await store.planned(db, request.sync_id):
        await store.put_aside(db, request, seconds=UNKNOWN_CONNECTION_S)


async def plan_retry(db: AsyncConnection, order: RetrySync) -> None:
    """Make the sync's waiting jobs due now, except those whose provider asked for the wait.

    An order that comes late, when no job is waiting any more, changes nothing.
    """
    for job in await queries.of_sync(db, order.sync_id):
        if job.state == "waiting":
            await _hurry(db, job, background=False)


async def plan_refetch(
    db: AsyncConnection, request: RefetchItems, *, providers: Mapping[str, Provider]
) -> None:
    """Create a job that reads these ids again, or deletes them when the connection is gone.

    Whatever writes them next (this job, a purge or a later load) uses a version above the one that
    the gateway holds.
    """
    snapshot = await store.connection(db, request.connection_id)
    if snapshot is None or not request.ids:
        return
    provider = providers.get(snapshot.provider)
    if provider is None and snapshot.status != "disconnected":
        _warn_of_unknown(snapshot)
        return
    if provider is not None and provider.resource(request.resource) is None:
        return
    await store.open_lanes(db, snapshot.id, [request.resource])
    await store.raise_epoch(db, snapshot.id, request.resource, version=request.highest_version)
    if snapshot.status == "disconnected":
        await known_items.invalidate(db, snapshot.id, request.resource, request.ids)
        await transitions.create(
            db, new_job(snapshot.id, request.resource, snapshot.generation, kind="purge")
        )
    elif provider and _cannot_load(snapshot, provider, request.resource) is None:
        job = new_job(snapshot.id, request.resource, snapshot.generation, kind="refetch")
        job.cursor = {"ids": list(dict.fromkeys(request.ids))}
        await transitions.create(db, job)
    else:
        # They cannot be read now. The lane's next load sends them again or deletes them.
        await known_items.invalidate(db, snapshot.id, request.resource, request.ids)
        await store.forget_places(db, snapshot.id, request.resource)


async def plan_walk_again(
    db: AsyncConnection, snapshot: Connection, *, providers: Mapping[str, Provider]
) -> None:
    """Read all lanes of a connection again in the background, and send every item.

    Nothing that readers have counts as known. A lane that cannot be read now sends its items with
    its next load.
    """
    provider = providers.get(snapshot.provider)
    waiting = await queries.unfinished(db, snapshot.id)
    for resource in await store.lanes_of(db, snapshot.id):
        await known_items.invalidate_all(db, snapshot.id, resource)
        await store.forget_places(db, snapshot.id, resource)
        if provider is None or provider.resource(resource) is None:
            continue
        if _cannot_load(snapshot, provider, resource) is not None:
            continue
        await store.lane_lost(db, snapshot.id, resource)
        again = new_job(snapshot.id, resource, snapshot.generation, background=True)
        # A load that has read some pages would not send what is on them.
        fresh = [job for job in waiting if job.resource == resource and job.cursor is None]
        if _same_work(again, fresh, loaded=True) is None:
            await transitions.create(db, again)


async def give_up_unclaimed(db: AsyncConnection, connection_id: str) -> None:
    """Fail the requests whose connection never came, resource by resource."""
    error = JobError(code="unknown_connection", detail="There is no such connection.")
    for request in await store.take_put_aside(db, connection_id):
        await store.first_time(db, request.sync_id, request.connection_id)
        for resource in request.resources or ("*",):
            job = new_job(request.connection_id, resource, 0, error=error)
            await transitions.create(db, job, syncs=(request.sync_id,))


async def _load(
    db: AsyncConnection,
    snapshot: Connection,
    *,
    sync_id: str,
    resources: tuple[str, ...] | None,
    providers: Mapping[str, Provider],
    background: bool = False,
) -> None:
    if not await store.first_time(db, sync_id, snapshot.id):
        return
    provider = providers.get(snapshot.provider)
    if provider is None:
        _warn_of_unknown(snapshot)
        failed = [
            new_job(snapshot.id, resource, snapshot.generation, error=PROVIDER_UNKNOWN)
            for resource in resources or snapshot.resources or ("*",)
        ]
        await transitions.create(db, *failed, syncs=(sync_id,))
        return
    chosen = [one.slug for one in provider.resources if resources is None or one.slug in resources]
    loaded = await store.open_lanes(db, snapshot.id, chosen)
    lanes: dict[str, list[Job]] = {}
    for job in await queries.unfinished(db, snapshot.id):
        lanes.setdefault(job.resource, []).append(job)
    new, joined = [], []
    for resource in chosen:
        error = _cannot_load(snapshot, provider, resource)
        job = new_job(
            snapshot.id, resource, snapshot.generation, background=background, error=error
        )
        if error is not None:
            new.append(job)
            continue
        other = _same_work(job, lanes.get(resource, []), loaded=resource in loaded)
        if other is not None:
            joined.append(other)
            if other.state == "waiting":
                await _hurry(db, other, background=background)
        else:
            new.append(job)
    await queries.join(db, *joined, syncs=(sync_id,))
    await transitions.create(db, *new, syncs=(sync_id,))


def _warn_of_unknown(snapshot: Connection) -> None:
    log.warning("provider_unknown", connection_id=snapshot.id, provider=snapshot.provider)


def _same_work(new: Job, others: list[Job], *, loaded: bool) -> Job | None:
    """Return the job that already does this work, if any.

    A sync that somebody waits for joins a background job only if that can be hurried.
    """
    for job in others:
        if job.kind != "load" or job.generation != new.generation:
            continue
        waits = job.state == "waiting"
        if job.background and not new.background and not waits:
            continue
        queued = job.pages == 0 and job.state != "running"
        if waits or queued or not loaded:
            return job
    return None


async def _hurry(db: AsyncConnection, job: Job, *, background: bool) -> bool:
    """Make a waiting load due now; return False if its provider asked for the wait.

    A load that somebody waits for (not ``background``) is no longer background work.
    """
    if job.background and not background:
        await queries.bring_forward(db, job)
    if not await parts.make_due(db, job):
        # Without a part that waits, the wait is that of a call which belongs to no part.
        waits = await parts.first_to_wait_for(db, job) is not None
        if waits or (job.not_before or 0.0) > clock.now():
            return False
    await transitions.hurry(db, job)
    return True


def _cannot_load(snapshot: Connection, provider: Provider, resource: str) -> JobError | None:
    if snapshot.status == "disconnected":
        return JobError(
            code="disconnected", detail="The account was disconnected. Connect it again to sync it."
        )
    if snapshot.status == "reauth_required":
        return JobError(
            code="reauth_required", detail=snapshot.reason or "The account must be connected again."
        )
    if resource in snapshot.resources:
        return None
    wanted = provider.resource(resource)
    if wanted is None:
        return None
    missing = [scope for scope in wanted.scopes if scope not in snapshot.scopes]
    scope = " ".join(missing)
    return JobError(
        code="missing_scope",
        detail=f"{provider.name} did not grant {scope}. Connect the account again and allow it.",
        scope=scope or None,
    )


async def _purge(db: AsyncConnection, snapshot: Connection, *, generation: int) -> None:
    """End the jobs that wait on the connection's lanes, and delete the items of each lane."""
    # Leave a running job alone: it finds the connection gone at its next checkpoint. If we ended it
    # here, the items of a page on its way would arrive after their own deletion.
    waits = [
        job
        for job in await queries.unfinished(db, snapshot.id)
        if job.kind != "purge" and job.state != "running"
    ]
    await transitions.end_disconnected(db, waits)
    resources = await store.lanes_of(db, snapshot.id)
    await transitions.create(
        db, *(new_job(snapshot.id, resource, generation, kind="purge") for resource in resources)
    )
