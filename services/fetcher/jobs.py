"""The job table: claimed with an epoch, changed only by who holds the claim, each change told to the job's syncs.

A job is ``ready`` (a wake-up is on its way), ``running`` (a worker holds it), ``waiting`` (its lane is taken), or over:
``done``, ``incomplete`` or ``failed``.
"""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher.job import Job, from_row, progress, to_row, wake_up
from services.fetcher.tables import cursors, job_syncs, jobs, lanes, outbox
from shared.contracts.envelope import timestamp
from shared.contracts.progress import Problem, Waiting
from shared.outbox import append


class LostClaimError(Exception):
    """Another worker has the job, or it was ended: nothing of this slice may be written."""


async def get(connection: AsyncConnection, job: str) -> Job | None:
    row = (await connection.execute(select(jobs).where(jobs.c.id == job))).mappings().first()
    return None if row is None else from_row(dict(row))


async def find(connection: AsyncConnection, *where: Any) -> list[Job]:
    """Jobs that match, oldest first."""
    rows = await connection.execute(select(jobs).where(*where).order_by(jobs.c.id))
    return [from_row(dict(row)) for row in rows.mappings()]


async def add(connection: AsyncConnection, job: Job, *, syncs: tuple[str, ...] = ()) -> None:
    """Write a new job; a ready one gets its first wake-up in the same transaction."""
    job.changed = time.time()
    await connection.execute(insert(jobs).values(to_row(job)))
    await join(connection, job, syncs)
    if job.state == "ready":
        await append(connection, outbox, [wake_up(job)])


async def join(connection: AsyncConnection, job: Job, syncs: tuple[str, ...]) -> None:
    """From now on these syncs are told of the job; what is known of it they are told at once."""
    if syncs:
        await connection.execute(
            insert(job_syncs).prefix_with("OR IGNORE"), [{"job": job.id, "sync": s} for s in syncs]
        )
        job.step += 1
        await connection.execute(update(jobs).where(jobs.c.id == job.id).values(step=job.step))
        await append(
            connection, outbox, [progress(job, sync, "JobFailed" if job.over else "JobStarted") for sync in syncs]
        )


async def claim(connection: AsyncConnection, *, job: str, wake: int, worker: str) -> Job | None:
    """Take the job for ``worker`` if this wake-up is the one that counts and its lane is free; epoch + 1."""
    found = await get(connection, job)
    if found is None or found.state != "ready" or found.wake != wake:
        return None
    lane = (lanes.c.connection == found.connection) & (lanes.c.resource == found.resource)
    free = lane & ((lanes.c.job == None) | (lanes.c.job == found.id))  # noqa: E711  # SQL's IS NULL
    taken = await connection.execute(update(lanes).where(free).values(job=found.id, epoch=lanes.c.epoch + 1))
    if taken.rowcount != 1:
        await connection.execute(update(jobs).where(jobs.c.id == job).values(state="waiting", changed=time.time()))
        return None
    found.epoch = int((await connection.execute(select(lanes.c.epoch).where(lane))).scalar_one())
    found.state, found.worker, found.waiting = "running", worker, None
    found.started = found.started or time.time()
    await _write(connection, found)
    return found


async def save(connection: AsyncConnection, job: Job, kind: str) -> None:
    """Write the claimed job's new state and tell its syncs.

    A ``ready`` job gets its next wake-up, due when it need wait no longer; one that is over frees its lane.

    Raises:
        LostClaimError: the row has another epoch or checkpoint than the job was read with.
    """
    held = (jobs.c.id == job.id) & (jobs.c.epoch == job.epoch) & (jobs.c.seq == job.seq) & (jobs.c.state == "running")
    job.seq += 1
    job.step += 1
    job.changed = time.time()
    if job.state == "ready":
        job.wake, job.worker = job.wake + 1, None
    if job.over:
        job.ended = time.time()
    changed = await connection.execute(update(jobs).where(held).values(to_row(job)))
    if changed.rowcount != 1:
        raise LostClaimError(job.id)
    await tell(connection, job, kind)
    if job.over:
        await _free_lane(connection, job)


async def park(connection: AsyncConnection, job: Job, *, seconds: float, reason: str | None) -> None:
    """Give the job back until ``seconds`` from now; with a reason that people can read when it has to wait."""
    due = time.time() + seconds if seconds else 0.0
    job.state = "ready"
    job.waiting = Waiting(reason=reason, until=timestamp(due)) if reason else None
    await save(connection, job, "JobWaiting" if reason else "PageLoaded")
    await append(connection, outbox, [wake_up(job)], not_before=due)


async def wake_again(connection: AsyncConnection, job: Job) -> None:
    """Return a dead worker's or a forgotten job to ready, with a new wake-up and without its claim."""
    lost = (jobs.c.id == job.id) & (jobs.c.wake == job.wake) & (jobs.c.state == job.state)
    job.state, job.wake, job.worker = "ready", job.wake + 1, None
    values = {"state": "ready", "wake": job.wake, "worker": None, "seq": jobs.c.seq + 1, "changed": time.time()}
    changed = await connection.execute(update(jobs).where(lost).values(values))
    if changed.rowcount == 1:
        await append(connection, outbox, [wake_up(job)])


async def end(connection: AsyncConnection, job: Job, problem: Problem) -> None:
    """End a job whoever holds it: its worker finds the claim lost."""
    job.state, job.error, job.ended, job.waiting = "failed", problem, time.time(), None
    job.step += 1
    values = {**to_row(job), "seq": jobs.c.seq + 1, "worker": None}
    await connection.execute(update(jobs).where(jobs.c.id == job.id).values(values))
    await tell(connection, job, "JobFailed")
    await _free_lane(connection, job)


async def tell(connection: AsyncConnection, job: Job, kind: str) -> None:
    syncs = (await connection.execute(select(job_syncs.c.sync).where(job_syncs.c.job == job.id))).scalars().all()
    await append(connection, outbox, [progress(job, sync, kind) for sync in syncs])


async def first_sighting(connection: AsyncConnection, job: str, digest: bytes) -> bool:
    """Remember a cursor of this job; False when the provider has given it before."""
    statement = insert(cursors).prefix_with("OR IGNORE").values(job=job, digest=digest)
    return (await connection.execute(statement)).rowcount == 1


async def forget_cursors(connection: AsyncConnection, job: str) -> None:
    await connection.execute(delete(cursors).where(cursors.c.job == job))


async def _free_lane(connection: AsyncConnection, job: Job) -> None:
    lane = (lanes.c.connection == job.connection) & (lanes.c.resource == job.resource)
    await connection.execute(update(lanes).where(lane & (lanes.c.job == job.id)).values(job=None))
    await forget_cursors(connection, job.id)
    mine = (jobs.c.connection == job.connection) & (jobs.c.resource == job.resource) & (jobs.c.state == "waiting")
    for waiting in (await find(connection, mine))[:1]:
        await wake_again(connection, waiting)


async def _write(connection: AsyncConnection, job: Job) -> None:
    job.changed = time.time()
    await connection.execute(update(jobs).where(jobs.c.id == job.id).values(to_row(job)))
