"""New jobs, and syncs that join them."""

from __future__ import annotations

import time

from sqlalchemy import bindparam, insert, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher import turns
from services.fetcher.job import Job, progress, to_row, wake_up
from services.fetcher.tables import job_syncs, jobs, outbox
from shared.outbox import append

_STEPPED = update(jobs).where(jobs.c.id == bindparam("joined")).values(step=bindparam("reached"))


async def add(db: AsyncConnection, *new: Job, syncs: tuple[str, ...] = ()) -> None:
    """Write new jobs of one connection, all at once: there may be a thousand.

    A ready one gets its first wake-up in the same transaction, unless it has to wait its turn.
    """
    if not new:
        return
    room, now = await turns.room(db, new[0].connection), time.time()
    for job in new:
        if job.state == "ready":
            job.state = "ready" if room > 0 else "turn"
            room -= 1
        job.changed = now
        job.ended = now if job.over else None
    await db.execute(insert(jobs), [to_row(job) for job in new])
    await join(db, *new, syncs=syncs)
    await append(db, outbox, [wake_up(job) for job in new if job.state == "ready"])


async def join(db: AsyncConnection, *joined: Job, syncs: tuple[str, ...]) -> None:
    """From now on these syncs are told of the jobs; what is known of them they are told at once."""
    if not joined or not syncs:
        return
    pairs = [(job, sync) for job in joined for sync in syncs]
    await db.execute(upsert(job_syncs).on_conflict_do_nothing(), [{"job": job.id, "sync": sync} for job, sync in pairs])
    for job in joined:
        job.step += 1
    await db.execute(_STEPPED, [{"joined": job.id, "reached": job.step} for job in joined])
    told = [progress(job, sync, "JobFailed" if job.over else "JobStarted") for job, sync in pairs]
    await append(db, outbox, told)
