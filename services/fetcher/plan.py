"""From what was asked to jobs: one per resource, joined where one already does the work."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher import jobs, store
from services.fetcher.job import OVER, Job, new_job
from services.fetcher.tables import jobs as rows
from services.fetcher.tables import lanes
from shared.connector import Provider
from shared.contracts.connections import STARTS_SYNC, Connection
from shared.contracts.progress import Problem
from shared.contracts.syncs import SyncRequested

UNKNOWN_CONNECTION_S = 60.0


async def plan_connection(
    db: AsyncConnection, kind: str, snapshot: Connection, *, providers: Mapping[str, Provider]
) -> None:
    """Take in a connection's new snapshot: load it when it came, purge it when it went.

    An older snapshot than the known one changes nothing.
    """
    if not await store.save_connection(db, snapshot):
        return
    if snapshot.status == "disconnected":
        await _purge(db, snapshot)
    elif kind in STARTS_SYNC and snapshot.sync_id:
        await _load(db, snapshot, sync=snapshot.sync_id, resources=None, providers=providers)
    for request in await store.take_put_aside(db, connection_id=snapshot.id):
        await plan_sync(db, request, providers=providers)


async def plan_sync(db: AsyncConnection, request: SyncRequested, *, providers: Mapping[str, Provider]) -> None:
    """Make or join a job per resource; a request for a connection not yet known waits a minute."""
    snapshot = await store.connection(db, request.connection)
    if snapshot is None:
        await store.put_aside(db, request, seconds=UNKNOWN_CONNECTION_S)
        return
    await _load(db, snapshot, sync=request.sync, resources=request.resources, providers=providers)


async def _load(
    db: AsyncConnection,
    snapshot: Connection,
    *,
    sync: str,
    resources: tuple[str, ...] | None,
    providers: Mapping[str, Provider],
) -> None:
    if not await store.first_time(db, sync, snapshot.id):
        return
    provider = providers[snapshot.provider]
    for resource in provider.resources:
        if resources is not None and resource.slug not in resources:
            continue
        loaded = await store.open_lane(db, snapshot.id, resource.slug)
        problem = _cannot_load(snapshot, provider, resource.slug)
        if problem is not None:
            job = new_job(snapshot.id, resource.slug, snapshot.generation)
            job.state, job.error = "failed", problem
            await jobs.add(db, job, syncs=(sync,))
            continue
        await _make_or_join(db, snapshot, resource.slug, sync=sync, loaded=loaded)


async def _make_or_join(db: AsyncConnection, snapshot: Connection, resource: str, *, sync: str, loaded: bool) -> None:
    lane = (rows.c.connection == snapshot.id) & (rows.c.resource == resource)
    current = lane & (rows.c.kind == "load") & (rows.c.generation == snapshot.generation) & rows.c.state.not_in(OVER)
    for job in await jobs.find(db, current):
        queued = job.pages == 0 and job.state != "running"
        if queued or not loaded:
            await jobs.join(db, job, (sync,))
            return
    await jobs.add(db, new_job(snapshot.id, resource, snapshot.generation), syncs=(sync,))


def _cannot_load(snapshot: Connection, provider: Provider, resource: str) -> Problem | None:
    if snapshot.status == "disconnected":
        return Problem(code="disconnected", detail="The account was disconnected. Connect it again to load it.")
    if snapshot.status == "reauth_required":
        return Problem(code="reauth_required", detail=snapshot.reason or "The account must be connected again.")
    wanted = provider.resource(resource)
    if resource in snapshot.resources or wanted is None:
        return None
    missing = [scope for scope in wanted.scopes if scope not in snapshot.scopes]
    scope = " ".join(missing)
    return Problem(
        code="missing_scope",
        detail=f"{provider.name} did not grant {scope}: connect the account again and allow it.",
        scope=scope or None,
    )


async def _purge(db: AsyncConnection, snapshot: Connection) -> None:
    """End what runs on the connection's lanes and delete every item of theirs, lane by lane."""
    gone = Problem(code="disconnected", detail="The account was disconnected while it was loading.")
    for job in await jobs.find(db, rows.c.connection == snapshot.id, rows.c.kind == "load", rows.c.state.not_in(OVER)):
        await jobs.end(db, job, gone)
    known = await db.execute(select(lanes.c.resource).where(lanes.c.connection == snapshot.id))
    for resource in known.scalars().all():
        await jobs.add(db, purge_job(snapshot, resource))


def purge_job(snapshot: Connection, resource: str) -> Job:
    return new_job(snapshot.id, resource, snapshot.generation, kind="purge")
