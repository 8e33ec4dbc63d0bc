"""Jobs that nobody holds are woken again."""

from __future__ import annotations

import time

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher import seen
from services.fetcher.job import Job, wake_up
from services.fetcher.jobs.find import get
from services.fetcher.tables import jobs, outbox
from shared.outbox import append


async def wake_again(db: AsyncConnection, job: Job) -> None:
    """Return a dead worker's or a forgotten job to ready, with a new wake-up and without its claim."""
    fresh = await get(db, job.id)  # what is about to be sent may have been noted since ``job`` was read
    if fresh is None:
        return
    lost = (jobs.c.id == job.id) & (jobs.c.wake == job.wake) & (jobs.c.seq == job.seq) & (jobs.c.state == job.state)
    job.state, job.wake = "ready", job.wake + 1
    values = {"state": "ready", "wake": job.wake, "worker": None, "seq": jobs.c.seq + 1, "changed": time.time()}
    changed = await db.execute(update(jobs).where(lost).values({**values, "pending": "[]"}))
    if changed.rowcount == 1:
        await settle_pending(db, fresh)
        await append(db, outbox, [wake_up(job)])


async def settle_pending(db: AsyncConnection, job: Job) -> None:
    if job.pending:
        await seen.doubt(db, job.connection, job.resource, job.pending)
        job.pending = ()
