"""Jobs are ended that nobody runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Text, bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher import seen, store, turns
from services.fetcher.job import Job, progress, to_row
from services.fetcher.jobs.find import unfinished
from services.fetcher.jobs.save import doubt_unread
from services.fetcher.jobs.wake import wake_again
from services.fetcher.metrics import ENDED
from services.fetcher.tables import job_syncs, jobs, outbox
from shared.contracts.progress import Problem
from shared.db import in_array, json_array
from shared.outbox import append

_CHANGED = ("state", "error", "ended", "waiting", "worker", "step")
_END = update(jobs).where(jobs.c.id == bindparam("over"))
_END = _END.values({**{name: bindparam(f"new_{name}") for name in _CHANGED}, "seq": jobs.c.seq + 1})
_SYNCS = select(job_syncs).where(in_array(job_syncs.c.job, bindparam("ids", type_=Text)))


async def end(db: AsyncConnection, over: Sequence[Job], problem: Problem) -> None:
    """All at once, as a connection may have a thousand; ``over`` are jobs of one connection."""
    if not over:
        return
    now = time.time()
    for job in over:
        job.state, job.error, job.ended, job.waiting, job.worker = "failed", problem, now, None, None
        job.step += 1
        ENDED.add(job.state)
    await db.execute(_END, [_changes(job) for job in over])
    by_id = {job.id: job for job in over}
    for job in over:
        await doubt_unread(db, job)
    told = (await db.execute(_SYNCS, {"ids": json_array(by_id)})).all()
    await append(db, outbox, [progress(by_id[row.job], row.sync, "JobFailed") for row in told])
    connection = over[0].connection
    await store.free_lanes(db, connection, list(by_id))
    await seen.forget_cursors(db, *by_id)
    await _wake(db, connection, {job.resource for job in over})
    await turns.give(db, connection)


def _changes(job: Job) -> dict[str, Any]:
    row = to_row(job)
    return {"over": job.id, **{f"new_{name}": row[name] for name in _CHANGED}}


async def _wake(db: AsyncConnection, connection: str, resources: set[str]) -> None:
    """Whoever waited for one of their lanes: first what deletes, then the oldest."""
    first: dict[str, Job] = {}
    waiting = [job for job in await unfinished(db, connection) if job.state == "waiting" and job.resource in resources]
    for job in sorted(waiting, key=lambda job: (job.kind != "purge", job.id)):
        first.setdefault(job.resource, job)
    for job in first.values():
        await wake_again(db, job)
