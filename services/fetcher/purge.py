"""Delete every item of a disconnected lane, everywhere: a tombstone for each id that was ever sent."""

from __future__ import annotations

import msgspec

from services.fetcher import jobs, seen, store
from services.fetcher.finish import send_deletions
from services.fetcher.work import Slice, Tools

EVERY_VERSION = 1 << 62


async def purge(work: Slice, tools: Tools) -> None:
    """Delete the next chunk, or close the job when nothing is left."""
    job = work.job
    tools.tokens.forget(job.connection)
    async with tools.database.read() as db:
        ids = await seen.unsighted(db, job.connection, job.resource, below=EVERY_VERSION)
    sent = await send_deletions(work, tools, ids, version=work.next_version(), reason="disconnected")
    job.positions = {**job.positions, **sent}
    job.receipt = msgspec.structs.replace(job.receipt, deleted=job.receipt.deleted + len(ids))
    async with tools.write(job) as db:
        await seen.forget(db, job.connection, job.resource, ids)
        if ids:
            await jobs.go_on(db, job, pause=work.over or tools.stopping.is_set())
        else:
            job.state = "done"
            await store.lane_loaded(db, job.connection, job.resource, loaded=False)
            await jobs.save(db, job, "JobFinished")
