"""Delete every item of a disconnected lane, everywhere: a tombstone for each id that was ever sent."""

from __future__ import annotations

import msgspec

from services.fetcher import jobs, seen, store
from services.fetcher.finish import send_deletions
from services.fetcher.job import Job
from services.fetcher.load import SLICE_S
from services.fetcher.work import Tools, open_slice

EVERY_VERSION = 1 << 62


async def purge(job: Job, tools: Tools) -> None:
    """Run one slice of a purge that this worker has claimed.

    Raises:
        LostClaimError: someone else has the job now.
    """
    async with tools.database.read() as db:
        source = await store.connection(db, job.connection)
    if source is None:
        raise LookupError(f"job {job.id} is of a connection that is not known: {job.connection}")
    tools.tokens.forget(job.connection)
    work = open_slice(job, source, tools, seconds=SLICE_S)
    while job.state == "running":
        async with tools.database.read() as db:
            ids = await seen.unsighted(db, job.connection, job.resource, below=EVERY_VERSION)
        sent = await send_deletions(work, tools, ids, version=work.next_version(), reason="disconnected")
        job.positions = {**job.positions, **sent}
        job.receipt = msgspec.structs.replace(job.receipt, deleted=job.receipt.deleted + len(ids))
        async with tools.database.write() as db:
            await seen.forget(db, job.connection, job.resource, ids)
            if not ids:
                job.state = "done"
                await store.lane_loaded(db, job.connection, job.resource, loaded=False)
                await jobs.save(db, job, "JobFinished")
            elif work.over or tools.stopping.is_set():
                await jobs.park(db, job, seconds=0, reason=None)
            else:
                await jobs.save(db, job, "PageLoaded")
