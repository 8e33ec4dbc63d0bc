"""Read some ids again: whatever they hold is sent anew under a newer version, and what is not found is deleted."""

from __future__ import annotations

from typing import Final

import msgspec

from services.fetcher import known_items
from services.fetcher.context import FetcherContext
from services.fetcher.emit import emission, send_dead_letters
from services.fetcher.finish import send_deletions
from services.fetcher.jobs import queries, transitions
from services.fetcher.run import JobRun

CHUNK: Final = 50


async def refetch(run: JobRun, context: FetcherContext) -> None:
    """Read the next ids of the job's cursor; nothing is called gone where a record could not be read."""
    job, at = run.job, run.next_version()
    ids = (job.cursor or {"ids": []})["ids"]
    page = await run.connector.read(run.call, job.resource, tuple(ids[:CHUNK]))
    emitted = emission(run, page, version=at, known={})
    found = {item.id for item in emitted.known}
    gone = [] if page.rejected else [id_ for id_ in ids[:CHUNK] if id_ not in found]
    async with context.database.write(lock=job.connection_id) as db:
        await queries.record_pending(db, job, tuple(found))
    if page.rejected:
        await send_dead_letters(run, context, page)
    sent = await context.producer.send_all(emitted.messages)
    deleted = await send_deletions(run, context, gone, version=at, reason="not_visible")
    job.item_positions = {**job.item_positions, **sent, **deleted}
    job.pages, job.items, job.attempts, job.pending_ids = (
        job.pages + 1,
        job.items + len(found),
        0,
        (),
    )
    job.receipt = msgspec.structs.replace(
        emitted.receipt, deleted=emitted.receipt.deleted + len(gone)
    )
    job.cursor = {"ids": ids[CHUNK:]}
    async with context.database.write(lock=job.connection_id) as db:
        await known_items.record(db, job.connection_id, job.resource, emitted.known)
        await known_items.forget(db, job.connection_id, job.resource, gone)
        if ids[CHUNK:]:
            await transitions.advance(db, job, end_run=run.ends)
        else:
            await transitions.finish(db, job, "done")
