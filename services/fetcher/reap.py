"""Keep jobs moving when a worker dies, and when a message or a connection never comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

import structlog

from services.fetcher import store
from services.fetcher.confirm import ask_due
from services.fetcher.jobs import queries, transitions
from services.fetcher.jobs.queries import Job
from services.fetcher.plan import give_up_unclaimed
from shared import clock
from shared.db import Database

BEAT_S: Final = 3.0
# Three missed beats: with fewer, a slow database would make a live worker look dead.
DEAD_AFTER_S: Final = 10.0
# A RunJob is late by seconds when Kafka is slow. After ten minutes it must have been lost.
FORGOTTEN_AFTER_S: Final = 600.0

log = structlog.get_logger()


async def keep_alive(database: Database, worker_id: str, *, died: Callable[[], None]) -> None:
    """Send heartbeats, and look after the jobs of other workers, until cancelled.

    Call ``died`` when the others took this worker for dead.
    """
    while True:
        await clock.sleep(BEAT_S)
        try:
            async with database.write() as db:
                missed = await store.silent(db, worker_id) > 2 * BEAT_S
                alive = await store.beat(db, worker_id)
                # If we missed a beat, the database was away, so the others could not beat either:
                # give them time to do it now.
                if not missed:
                    await store.forget_workers(db, silent_s=DEAD_AFTER_S)
            if not alive:
                log.critical(
                    "declared_dead",
                    worker_id=worker_id,
                    reason="no heartbeat for too long, so others took its jobs",
                )
                died()
                return
            await reap(database)
            await give_up_late(database)
            await ask_due(database)
        except Exception:
            log.exception("heartbeat_failed")


async def arrive(database: Database, worker_id: str, *, alone: bool) -> int:
    """Send the first heartbeat, before any claim; return how many jobs were dispatched again.

    If this fetcher is ``alone``, every claim it finds belongs to a dead one.
    """
    async with database.write() as db:
        if alone:
            await store.forget_workers(db)
        await store.arrive(db, worker_id)
    return await reap(database)


async def leave(database: Database, worker_id: str) -> None:
    """Sign off, so that other workers take over at once what was not given back in time."""
    try:
        async with database.write() as db:
            await store.forget_workers(db, only=worker_id)
        await reap(database)
    except Exception:
        log.exception("sign_off_failed")


async def reap(database: Database) -> int:
    """Dispatch again the jobs of dead workers, and those that were ready for too long.

    Return how many jobs that was.
    """
    cutoff = clock.now() - FORGOTTEN_AFTER_S
    async with database.read() as db:
        live = await store.live_workers(db)
        orphaned = [
            job for job in await queries.in_state(db, "running") if job.worker_id not in live
        ]
        ready = await queries.in_state(db, "ready", unchanged_since=cutoff)
        waiting = await queries.in_state(db, "waiting", unchanged_since=cutoff)
    # A waiting job is forgotten only when its time is long past.
    forgotten = [*ready, *(job for job in waiting if (job.waiting_until or 0.0) < cutoff)]
    for job in orphaned:
        await _redispatch(database, job, "worker_gone")
    for job in forgotten:
        await _redispatch(database, job, "forgotten")
    return len(orphaned) + len(forgotten)


async def _redispatch(
    database: Database, job: Job, event: Literal["worker_gone", "forgotten"]
) -> None:
    log.info("job_redispatched", job_id=job.id, event_=event)
    async with database.write(lock=job.connection_id) as db:
        await transitions.redispatch(db, job, event)


async def give_up_late(database: Database) -> None:
    """Fail the requests whose connection has not come in time."""
    async with database.read() as db:
        connections = await store.waited_too_long(db)
    for connection in sorted(connections):
        async with database.write(lock=connection) as db:
            await give_up_unclaimed(db, connection)
