"""The job table: claimed with an epoch, changed only by who holds the claim, each change told to the job's syncs.

A job is ``ready`` (a wake-up is on its way), ``running`` (a worker holds it), waits for its ``turn`` (as many of the
connection's are out as may be) or for its lane (``waiting``), or is over: ``done``, ``incomplete`` or ``failed``.
Whatever changes a job holds the lock of its connection (``Database.write``).
"""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher import seen, store, turns
from services.fetcher.job import OVER, Job, State, from_row, progress, to_row, wake_up
from services.fetcher.metrics import ENDED
from services.fetcher.tables import job_syncs, jobs, outbox
from shared.contracts.envelope import timestamp
from shared.contracts.progress import Problem, Waiting
from shared.outbox import append

DISCONNECTED = Problem(code="disconnected", detail="The account was disconnected while it was loading.")


class LostClaimError(Exception):
    """Another worker has the job, or it was ended: nothing of this slice may be written."""


async def get(db: AsyncConnection, job: str) -> Job | None:
    row = (await db.execute(select(jobs).where(jobs.c.id == job))).mappings().first()
    return None if row is None else from_row(dict(row))


async def unfinished(db: AsyncConnection, connection: str, resource: str | None = None) -> list[Job]:
    """Jobs of a connection, or of one of its lanes, that are not over; oldest first."""
    mine = jobs.c.connection == connection
    if resource is not None:
        mine &= jobs.c.resource == resource
    return await find(db, mine, jobs.c.state.not_in(OVER))


async def in_state(db: AsyncConnection, state: State, *, unchanged_since: float | None = None) -> list[Job]:
    before = [] if unchanged_since is None else [jobs.c.changed < unchanged_since]
    return await find(db, jobs.c.state == state, *before)


async def find(db: AsyncConnection, *where: Any) -> list[Job]:
    rows = await db.execute(select(jobs).where(*where).order_by(jobs.c.id))
    return [from_row(dict(row)) for row in rows.mappings()]


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


async def claim(db: AsyncConnection, *, job: str, wake: int, worker: str) -> Job | None:
    """Take the job for ``worker`` if this wake-up is the one that counts and its lane is free; epoch + 1."""
    found = await get(db, job)
    if found is None or found.state != "ready" or found.wake != wake:
        return None
    if not await turns.free(db, found.connection, besides=job):
        await db.execute(update(jobs).where(jobs.c.id == job).values(state="turn"))
        return None
    blocked = await _purged_first(db, found)
    epoch = None if blocked else await store.take_lane(db, found.connection, found.resource, job=job)
    if epoch is None:
        await db.execute(update(jobs).where(jobs.c.id == job).values(state="waiting", changed=time.time()))
        await turns.give(db, found.connection)
        return None
    found.epoch = epoch
    found.state, found.worker, found.waiting = "running", worker, None
    found.changed = time.time()
    found.started = found.started or found.changed
    mine = (jobs.c.id == found.id) & (jobs.c.state == "ready") & (jobs.c.wake == wake)
    return found if (await db.execute(update(jobs).where(mine).values(to_row(found)))).rowcount == 1 else None


async def intend(db: AsyncConnection, job: Job, ids: tuple[str, ...]) -> None:
    """Note what is about to be sent, while the claim is still held.

    Were it sent first and the worker died, an item that is gone by the next attempt would stay with readers for ever.

    Raises:
        LostClaimError: nothing may be sent.
    """
    job.pending = ids
    noted = await db.execute(update(jobs).where(_held(job)).values(pending=to_row(job)["pending"]))
    if noted.rowcount != 1:
        raise LostClaimError(job.id)


async def save(db: AsyncConnection, job: Job, kind: str | None) -> None:
    """Write the claimed job's new state and tell its syncs, unless ``kind`` is None.

    A ``ready`` job gets its next wake-up, due when it need wait no longer; one that is over frees its lane. A job whose
    connection has gone meanwhile is over, whatever it was to be.

    Raises:
        LostClaimError: the row has another epoch or checkpoint than the job was read with.
    """
    held = _held(job)
    if not job.over and job.kind != "purge" and await store.is_gone(db, job.connection, job.generation):
        job.state, job.error, job.waiting, kind = "failed", DISCONNECTED, None, "JobFailed"
    await _settle_pending(db, job)
    job.seq += 1
    job.changed = time.time()
    if job.state in {"ready", "turn"}:
        job.worker = None
        job.wake += job.state == "ready"
    if job.over:
        job.ended = job.changed
    # A sync may have joined since the job was read: its step counts too.
    stepped = {**to_row(job), "step": jobs.c.step + 1}
    step = (await db.execute(update(jobs).where(held).values(stepped).returning(jobs.c.step))).scalar_one_or_none()
    if step is None:
        raise LostClaimError(job.id)
    job.step = step
    if kind is not None:
        await tell(db, job, kind)
    if job.over:
        await _free_lane(db, job)
    if job.state != "running":
        await turns.give(db, job.connection)


async def go_on(db: AsyncConnection, job: Job, *, pause: bool, told: bool = True) -> None:
    """A step is done and more are to come: at once, or in another slice."""
    if pause:
        await park(db, job, seconds=0, reason=None)
    else:
        await save(db, job, "PageLoaded" if told else None)


async def park(db: AsyncConnection, job: Job, *, seconds: float, reason: str | None) -> None:
    """Give the job back until ``seconds`` from now; with a reason that people can read when it has to wait."""
    job.state = "turn" if not seconds and await turns.others_wait(db, job.connection) else "ready"
    job.waiting = Waiting(reason=reason, until=timestamp(time.time() + seconds)) if reason else None
    await save(db, job, "JobWaiting" if reason else "PageLoaded")
    if job.state == "ready":
        await append(db, outbox, [wake_up(job)], delay_s=seconds)


async def wake_again(db: AsyncConnection, job: Job) -> None:
    """Return a dead worker's or a forgotten job to ready, with a new wake-up and without its claim."""
    lost = (jobs.c.id == job.id) & (jobs.c.wake == job.wake) & (jobs.c.seq == job.seq) & (jobs.c.state == job.state)
    job.state, job.wake = "ready", job.wake + 1
    values = {"state": "ready", "wake": job.wake, "worker": None, "seq": jobs.c.seq + 1, "changed": time.time()}
    changed = await db.execute(update(jobs).where(lost).values({**values, "pending": "[]"}))
    if changed.rowcount == 1:
        await _settle_pending(db, job)
        await append(db, outbox, [wake_up(job)])


async def end(db: AsyncConnection, job: Job, problem: Problem) -> None:
    """End a job that nobody runs."""
    job.state, job.error, job.ended, job.waiting, job.worker = "failed", problem, time.time(), None, None
    job.step += 1
    await db.execute(update(jobs).where(jobs.c.id == job.id).values({**to_row(job), "seq": jobs.c.seq + 1}))
    await tell(db, job, "JobFailed")
    await _free_lane(db, job)
    await turns.give(db, job.connection)


async def tell(db: AsyncConnection, job: Job, kind: str) -> None:
    syncs = (await db.execute(select(job_syncs.c.sync).where(job_syncs.c.job == job.id))).scalars().all()
    await append(db, outbox, [progress(job, sync, kind) for sync in syncs])


def _held(job: Job) -> Any:
    return (jobs.c.id == job.id) & (jobs.c.epoch == job.epoch) & (jobs.c.seq == job.seq) & (jobs.c.state == "running")


async def _purged_first(db: AsyncConnection, job: Job) -> bool:
    """What a former generation left is deleted before this one loads: later it would delete what was loaded."""
    others = await unfinished(db, job.connection, job.resource)
    return any(other.kind == "purge" and other.generation < job.generation for other in others)


async def _settle_pending(db: AsyncConnection, job: Job) -> None:
    if job.pending:
        await seen.doubt(db, job.connection, job.resource, job.pending)
        job.pending = ()


async def _free_lane(db: AsyncConnection, job: Job) -> None:
    """Wake whoever waits for the lane: first what deletes, then the oldest."""
    ENDED.add(job.state)
    await store.free_lane(db, job.connection, job.resource, job=job.id)
    await seen.forget_cursors(db, job.id)
    waiting = [other for other in await unfinished(db, job.connection, job.resource) if other.state == "waiting"]
    if waiting:
        await wake_again(db, min(waiting, key=lambda other: (other.kind != "purge", other.id)))
