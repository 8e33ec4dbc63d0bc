"""What keeps jobs moving when a worker dies: heartbeats, a reaper, a reconciler, and requests that nobody claimed."""

from __future__ import annotations

import asyncio
import time

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher import jobs, store
from services.fetcher.job import Job
from services.fetcher.plan import give_up_unclaimed
from shared.contracts.envelope import timestamp
from shared.db import Database

BEAT_S = 3.0
DEAD_AFTER_S = 10.0
FORGOTTEN_AFTER_S = 600.0

log = structlog.get_logger()


async def keep_alive(database: Database, worker: str) -> None:
    """Beat, and look after the others' jobs, until cancelled."""
    while True:
        await asyncio.sleep(BEAT_S)
        try:
            async with database.write() as db:
                await store.beat(db, worker)
                await store.forget_workers(db, silent_s=DEAD_AFTER_S)
                await reap(db)
                await give_up_unclaimed(db)
        except Exception:
            log.exception("heartbeat_failed")


async def arrive(database: Database, worker: str, *, alone: bool) -> int:
    """The first beat, before anything is claimed. Whoever is alone finds only dead ones' claims.

    Returns how many jobs go on.
    """
    async with database.write() as db:
        if alone:
            await store.forget_workers(db)
        await store.beat(db, worker)
        return await reap(db)


async def leave(database: Database, worker: str) -> None:
    """What could not be given back in time goes on elsewhere, or at the next start, without waiting for our death."""
    try:
        async with database.write() as db:
            await store.forget_workers(db, only=worker)
            await reap(db)
    except Exception:
        log.exception("left_without_goodbye")


async def reap(db: AsyncConnection) -> int:
    """Return dead workers' jobs to ready, and wake again what has been ready for too long."""
    live = await store.live_workers(db)
    orphaned = [job for job in await jobs.in_state(db, "running") if job.worker not in live]
    cutoff = time.time() - FORGOTTEN_AFTER_S
    forgotten = [job for job in await jobs.in_state(db, "ready", unchanged_since=cutoff) if _overdue(job, cutoff)]
    for job in [*orphaned, *forgotten]:
        log.info("job_goes_on", job=job.id, was=job.state)
        await jobs.wake_again(db, job)
    return len(orphaned) + len(forgotten)


def _overdue(job: Job, cutoff: float) -> bool:
    """A parked job is only forgotten when its time has long come."""
    return job.waiting is None or job.waiting.until < timestamp(cutoff)
