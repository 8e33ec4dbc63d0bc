"""Read some ids again: send what they hold under a newer version, delete what is not found."""

from __future__ import annotations

from typing import Final

import msgspec

from services.fetcher import known_items
from services.fetcher.context import FetcherContext, JobRun
from services.fetcher.emit import Emission, emission, send_dead_letters
from services.fetcher.finish import send_deletions
from services.fetcher.jobs import queries, transitions
from services.fetcher.jobs.queries import Job

# Ids of one checkpoint. Where a provider has no batch read, each of them is a call.
CHUNK: Final = 50


async def refetch(run: JobRun, context: FetcherContext) -> None:
    """Read the next ids of the job's cursor, and close the job after the last ones."""
    job, at = run.job, run.next_version()
    ids = (job.cursor or {"ids": []})["ids"]
    page = await run.connector.read(run.call, job.resource, tuple(ids[:CHUNK]))
    emitted = emission(run, page, version=at, known={})
    found = {item.id for item in emitted.known}
    # A record that could not be read may be any of these ids, so then none of them counts as gone.
    gone = [] if page.rejected else [id_ for id_ in ids[:CHUNK] if id_ not in found]
    async with context.database.write(lock=job.connection_id) as db:
        await queries.record_pending(db, job, tuple(found))
    if page.rejected:
        await send_dead_letters(run, context, page.rejected)
    sent = await context.producer.send_all(emitted.messages)
    deleted = await send_deletions(run, context, gone, version=at, reason="not_visible")
    job.item_positions = {**job.item_positions, **sent, **deleted}
    _count(job, emitted, deleted=len(gone))
    job.cursor = {"ids": ids[CHUNK:]}
    async with context.database.write(lock=job.connection_id) as db:
        await known_items.record(db, job.connection_id, job.resource, emitted.known)
        await known_items.forget(db, job.connection_id, job.resource, gone)
        if ids[CHUNK:]:
            await transitions.advance(db, job, end_run=run.ends)
        else:
            await transitions.finish(db, job, "done")


def _count(job: Job, emitted: Emission, *, deleted: int) -> None:
    job.pages += 1
    job.items += len(emitted.known)
    job.attempts, job.pending_ids = 0, ()
    receipt = emitted.receipt
    job.receipt = msgspec.structs.replace(receipt, deleted=receipt.deleted + deleted)
