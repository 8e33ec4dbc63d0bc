"""Let only the worker that claimed a job change it, as long as its epoch and checkpoint stand."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import bindparam, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher.job import Job, to_row
from services.fetcher.tables import jobs

HELD: Final = (
    (jobs.c.id == bindparam("held"))
    & (jobs.c.epoch == bindparam("held_epoch"))
    & (jobs.c.seq == bindparam("held_seq"))
    & (jobs.c.state == "running")
)
"""The condition of every write of a claimed job; its parameters are ``claim_parameters``."""
_PENDING: Final = update(jobs).where(HELD).values(pending_ids=bindparam("ids"))


class LostClaimError(Exception):
    """Another worker has the job, or it was ended: nothing of this run may be written."""


def claim_parameters(job: Job) -> dict[str, Any]:
    return {"held": job.id, "held_epoch": job.epoch, "held_seq": job.seq}


def claimed_by_lost_commit(job: Job, dispatch: int, worker_id: str, at_work: Collection[tuple[str, int]]) -> bool:
    """Return whether the claim was committed, but the connection broke before anybody was told."""
    ours = job.state == "running" and job.worker_id == worker_id and job.dispatch == dispatch
    return ours and (job.id, dispatch) not in at_work


async def record_pending(db: AsyncConnection, job: Job, ids: tuple[str, ...]) -> None:
    """Note what is about to be sent, while the claim is still held.

    Were it sent first and the worker died, an item that is gone by the next attempt would stay with readers for ever.

    Raises:
        LostClaimError: nothing may be sent.
    """
    job.pending_ids = ids
    noted = await db.execute(_PENDING, {**claim_parameters(job), "ids": to_row(job)["pending_ids"]})
    if noted.rowcount != 1:
        raise LostClaimError(job.id)
