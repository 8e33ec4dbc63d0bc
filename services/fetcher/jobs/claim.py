"""Who may change a job: whoever claimed it, as long as its epoch and checkpoint stand."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

from sqlalchemy import bindparam, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher import store, turns
from services.fetcher.job import Job, to_row
from services.fetcher.jobs.find import get, unfinished
from services.fetcher.tables import jobs

HELD = (
    (jobs.c.id == bindparam("held"))
    & (jobs.c.epoch == bindparam("held_epoch"))
    & (jobs.c.seq == bindparam("held_seq"))
    & (jobs.c.state == "running")
)
"""The condition of every write of a claimed job; its parameters are ``held``."""
_INTEND = update(jobs).where(HELD).values(pending=bindparam("ids"))


class LostClaimError(Exception):
    """Another worker has the job, or it was ended: nothing of this slice may be written."""


async def claim(
    db: AsyncConnection, *, job: str, wake: int, worker: str, at_work: Collection[tuple[str, int]] = ()
) -> Job | None:
    """Take the job for ``worker`` if this wake-up is the one that counts and its lane is free; epoch + 1.

    ``at_work`` are the claims that the worker knows of: one that is not among them was committed unheard.
    """
    found = await get(db, job)
    if found is not None and _unheard(found, wake, worker, at_work):
        return found
    if found is None or found.state != "ready" or found.wake != wake:
        return None
    if not await turns.free(db, found.connection, besides=job):
        await db.execute(update(jobs).where(jobs.c.id == job).values(state="turn", waiting="null"))
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


def _unheard(job: Job, wake: int, worker: str, at_work: Collection[tuple[str, int]]) -> bool:
    """Whether the claim was committed, but the connection broke before anybody was told."""
    ours = job.state == "running" and job.worker == worker and job.wake == wake
    return ours and (job.id, wake) not in at_work


async def intend(db: AsyncConnection, job: Job, ids: tuple[str, ...]) -> None:
    """Note what is about to be sent, while the claim is still held.

    Were it sent first and the worker died, an item that is gone by the next attempt would stay with readers for ever.

    Raises:
        LostClaimError: nothing may be sent.
    """
    job.pending = ids
    noted = await db.execute(_INTEND, {**held(job), "ids": to_row(job)["pending"]})
    if noted.rowcount != 1:
        raise LostClaimError(job.id)


def held(job: Job) -> dict[str, Any]:
    return {"held": job.id, "held_epoch": job.epoch, "held_seq": job.seq}


async def _purged_first(db: AsyncConnection, job: Job) -> bool:
    """What a former generation left is deleted before this one loads: later it would delete what was loaded."""
    others = await unfinished(db, job.connection, job.resource)
    return any(other.kind == "purge" and other.generation < job.generation for other in others)
