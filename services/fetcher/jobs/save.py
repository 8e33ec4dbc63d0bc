"""What a slice leaves behind: the job's new state, told to its syncs."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher import seen, store, turns
from services.fetcher.job import Job, progress, to_row, wake_up
from services.fetcher.jobs.claim import HELD, LostClaimError, held
from services.fetcher.jobs.find import unfinished
from services.fetcher.jobs.wake import settle_pending, wake_again
from services.fetcher.metrics import ENDED
from services.fetcher.tables import job_syncs, jobs, outbox
from shared.contracts.envelope import timestamp
from shared.contracts.progress import Problem, Waiting
from shared.outbox import append

DISCONNECTED = Problem(code="disconnected", detail="The account was disconnected while it was loading.")

_STEPPED: dict[str, Any] = {
    column.name: bindparam(column.name) for column in jobs.columns if column.name not in {"id", "step"}
}
# Built once: building such a statement costs as much as running it, and these run for every page.
_SAVE = update(jobs).where(HELD).values({**_STEPPED, "step": jobs.c.step + 1}).returning(jobs.c.step)
_SYNCS = select(job_syncs.c.sync).where(job_syncs.c.job == bindparam("job"))


async def save(db: AsyncConnection, job: Job, kind: str | None) -> None:
    """Write the claimed job's new state and tell its syncs, unless ``kind`` is None.

    A ``ready`` job gets its next wake-up, due when it need wait no longer; one that is over frees its lane. A job whose
    connection has gone meanwhile is over, whatever it was to be.

    Raises:
        LostClaimError: the row has another epoch or checkpoint than the job was read with.
    """
    claim = held(job)
    if not job.over and job.kind != "purge" and await store.is_gone(db, job.connection, job.generation):
        job.state, job.error, job.waiting, kind = "failed", DISCONNECTED, None, "JobFailed"
    await settle_pending(db, job)
    job.seq += 1
    job.changed = time.time()
    if job.state in {"ready", "turn"}:
        job.worker = None
        job.wake += job.state == "ready"
    if job.over:
        job.ended = job.changed
        await doubt_unread(db, job)
    # A sync may have joined since the job was read: its step counts too.
    row = to_row(job)
    stepped = {name: row[name] for name in _STEPPED}
    step = (await db.execute(_SAVE, {**stepped, **claim})).scalar_one_or_none()
    if step is None:
        raise LostClaimError(job.id)
    job.step = step
    if kind is not None:
        await _tell(db, job, kind)
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


async def doubt_unread(db: AsyncConnection, job: Job) -> None:
    """What should have been read again and was not: the next load sends it again, or a purge deletes it."""
    if job.kind == "read" and job.state != "done":
        await seen.doubt(db, job.connection, job.resource, (job.cursor or {"ids": []})["ids"])


async def _tell(db: AsyncConnection, job: Job, kind: str) -> None:
    syncs = (await db.execute(_SYNCS, {"job": job.id})).scalars().all()
    await append(db, outbox, [progress(job, sync, kind) for sync in syncs])


async def _free_lane(db: AsyncConnection, job: Job) -> None:
    """Wake whoever waits for the lane: first what deletes, then the oldest."""
    ENDED.add(job.state)
    await store.free_lane(db, job.connection, job.resource, job=job.id)
    await seen.forget_cursors(db, job.id)
    waiting = [other for other in await unfinished(db, job.connection, job.resource) if other.state == "waiting"]
    if waiting:
        await wake_again(db, min(waiting, key=lambda other: (other.kind != "purge", other.id)))
