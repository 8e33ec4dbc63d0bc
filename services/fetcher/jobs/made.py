"""New jobs, and syncs that join them."""

from __future__ import annotations

import time

from sqlalchemy import insert, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher import turns
from services.fetcher.job import Job, progress, to_row, wake_up
from services.fetcher.tables import job_syncs, jobs, outbox
from shared.outbox import append


async def add(db: AsyncConnection, job: Job, *, syncs: tuple[str, ...] = ()) -> None:
    """Write a new job; a ready one gets its first wake-up in the same transaction, unless it has to wait its turn."""
    job.changed = time.time()
    if job.state == "ready" and not await turns.free(db, job.connection, besides=job.id):
        job.state = "turn"
    job.ended = job.changed if job.over else None
    await db.execute(insert(jobs).values(to_row(job)))
    await join(db, job, syncs)
    if job.state == "ready":
        await append(db, outbox, [wake_up(job)])


async def join(db: AsyncConnection, job: Job, syncs: tuple[str, ...]) -> None:
    """From now on these syncs are told of the job; what is known of it they are told at once."""
    if syncs:
        await db.execute(upsert(job_syncs).on_conflict_do_nothing(), [{"job": job.id, "sync": s} for s in syncs])
        job.step += 1
        await db.execute(update(jobs).where(jobs.c.id == job.id).values(step=job.step))
        await append(db, outbox, [progress(job, sync, "JobFailed" if job.over else "JobStarted") for sync in syncs])
