"""What keeps jobs moving when a worker dies: heartbeats, a reaper, a reconciler, and requests that nobody claimed."""

from __future__ import annotations

import asyncio
import time

import structlog
from sqlalchemy import delete, select
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher import jobs, store
from services.fetcher.job import new_job
from services.fetcher.tables import jobs as rows
from services.fetcher.tables import workers
from shared.contracts.progress import Problem
from shared.db import Database

BEAT_S = 3.0
DEAD_AFTER_S = 10.0
FORGOTTEN_AFTER_S = 600.0

log = structlog.get_logger()


async def keep_alive(database: Database, worker: str) -> None:
    """Beat, and look after the others' jobs, until cancelled."""
    while True:
        try:
            async with database.write() as db:
                await beat(db, worker)
                await reap(db)
                await give_up_unclaimed(db)
        except Exception:
            log.exception("heartbeat_failed")
        await asyncio.sleep(BEAT_S)


async def void_predecessors(database: Database, worker: str) -> int:
    """At the start of a worker that is alone: every claim is a dead one's. Returns how many jobs go on."""
    async with database.write() as db:
        await db.execute(delete(workers))
        await beat(db, worker)
        return await reap(db)


async def beat(db: AsyncConnection, worker: str) -> None:
    row = {"id": worker, "beat": time.time()}
    await db.execute(upsert(workers).values(row).on_conflict_do_update(index_elements=["id"], set_=row))


async def reap(db: AsyncConnection) -> int:
    """Return dead workers' jobs to ready, and wake again what has been ready for too long."""
    now = time.time()
    await db.execute(delete(workers).where(workers.c.beat < now - DEAD_AFTER_S))
    orphaned = (rows.c.state == "running") & rows.c.worker.not_in(select(workers.c.id))
    forgotten = (rows.c.state == "ready") & (rows.c.changed < now - FORGOTTEN_AFTER_S) & (rows.c.waiting == "null")
    found = await jobs.find(db, orphaned | forgotten)
    for job in found:
        log.info("job_goes_on", job=job.id, was=job.state)
        await jobs.wake_again(db, job)
    return len(found)


async def give_up_unclaimed(db: AsyncConnection) -> None:
    """A request whose connection never came: its sync is told so, resource by resource."""
    for request in await store.take_put_aside(db):
        problem = Problem(code="unknown_connection", detail="There is no such connection here.")
        resources = request.resources or ("*",)
        log.warning("sync_without_connection", sync=request.sync)
        for resource in resources:
            job = new_job(request.connection, resource, 0)
            job.state, job.error = "failed", problem
            await jobs.add(db, job, syncs=(request.sync,))
