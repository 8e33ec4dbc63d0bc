"""Tell a job's syncs how far it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import Text, bindparam, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher.jobs.queries import Job
from services.fetcher.tables import job_syncs, jobs, outbox
from shared.contracts.envelope import Message, event, timestamp
from shared.contracts.progress import JobProgress
from shared.contracts.topics import PROGRESS
from shared.contracts.vocabulary import SyncState
from shared.db import in_array, json_array
from shared.outbox import append

# Built once: building such a statement costs as much as running it, and these run for every page.
_SYNCS: Final = select(job_syncs.c.sync_id).where(job_syncs.c.job_id == bindparam("job_id"))
_SYNCS_OF_ALL: Final = select(job_syncs).where(
    in_array(job_syncs.c.job_id, bindparam("ids", type_=Text))
)
_STEPPED: Final = (
    update(jobs).where(jobs.c.id == bindparam("joined")).values(step=bindparam("reached"))
)


async def tell(db: AsyncConnection, job: Job, kind: str) -> None:
    """Tell every sync of the job, in the caller's transaction, how far it is."""
    syncs = (await db.execute(_SYNCS, {"job_id": job.id})).scalars().all()
    await append(db, outbox, [progress_event(job, sync_id, kind) for sync_id in syncs])


async def tell_all(db: AsyncConnection, changed: Sequence[Job], kind: str) -> None:
    """Tell the syncs of many jobs with one query: a connection may have a thousand jobs."""
    by_id: Mapping[str, Job] = {job.id: job for job in changed}
    told = (await db.execute(_SYNCS_OF_ALL, {"ids": json_array(by_id)})).all()
    await append(db, outbox, [progress_event(by_id[row.job_id], row.sync_id, kind) for row in told])


async def join(db: AsyncConnection, *joined: Job, syncs: tuple[str, ...]) -> None:
    """Tell these syncs of the jobs from now on, and at once what is known of them."""
    if not joined or not syncs:
        return
    pairs = [(job, sync_id) for job in joined for sync_id in syncs]
    rows = [{"job_id": job.id, "sync_id": sync_id} for job, sync_id in pairs]
    await db.execute(upsert(job_syncs).on_conflict_do_nothing(), rows)
    for job in joined:
        job.step += 1
    await db.execute(_STEPPED, [{"joined": job.id, "reached": job.step} for job in joined])
    told = []
    for job, sync_id in pairs:
        kind = "JobFailed" if job.over else "JobStarted"
        told.append(progress_event(job, sync_id, kind))
    await append(db, outbox, told)


def progress_event(job: Job, sync_id: str, kind: str) -> Message:
    waits = job.state == "waiting"
    body = JobProgress(
        sync_id=sync_id,
        job_id=job.id,
        step=job.step,
        connection_id=job.connection_id,
        resource=job.resource,
        state=public_state(job),
        pages=job.pages,
        items=job.items,
        expected=job.expected,
        waiting_reason=job.waiting_reason if waits else None,
        waiting_until=_time(job.waiting_until) if waits else None,
        error=job.error,
        receipt=job.receipt if job.over else None,
        item_positions=job.item_positions if job.over else {},
        started_at=_time(job.started_at),
        ended_at=_time(job.ended_at),
    )
    return event(PROGRESS, key=sync_id, kind=kind, source="fetcher", body=body)


def public_state(job: Job) -> SyncState:
    """Return the state that people see: queued until its first page has come."""
    if job.outcome is not None:
        return job.outcome
    if job.state == "waiting":
        return "waiting"
    return "queued" if job.pages == 0 else "running"


def _time(epoch_s: float | None) -> str | None:
    return None if epoch_s is None else timestamp(epoch_s)
