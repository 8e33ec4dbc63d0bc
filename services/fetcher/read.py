"""Read some ids again: whatever they hold is sent anew under a newer version, and what is gone is deleted."""

from __future__ import annotations

import msgspec

from services.fetcher import jobs, seen
from services.fetcher.emit import emission
from services.fetcher.finish import send_deletions
from services.fetcher.letters import send_dead_letters
from services.fetcher.work import Slice, Tools

CHUNK = 50


async def read_again(work: Slice, tools: Tools) -> None:
    """Read the next ids of the job's cursor; nothing is called gone where a record could not be read."""
    job, at = work.job, work.next_version()
    ids = (job.cursor or {"ids": []})["ids"]
    page = await work.connector.read(work.call, job.resource, tuple(ids[:CHUNK]))
    emitted = emission(job, work.source, page, version=at, known={})
    found = {sighting.id for sighting in emitted.sightings}
    gone = [] if page.rejected else [id_ for id_ in ids[:CHUNK] if id_ not in found]
    async with tools.write(job) as db:
        await jobs.intend(db, job, tuple(found))
    await send_dead_letters(work, tools, page)
    sent = await tools.producer.send_all(emitted.messages)
    deleted = await send_deletions(work, tools, gone, version=at, reason="gone")
    job.positions = {**job.positions, **sent, **deleted}
    job.pages, job.items, job.attempts, job.pending = job.pages + 1, job.items + len(found), 0, ()
    job.receipt = msgspec.structs.replace(emitted.receipt, deleted=emitted.receipt.deleted + len(gone))
    job.cursor = {"ids": ids[CHUNK:]}
    async with tools.write(job) as db:
        await seen.record(db, job.connection, job.resource, emitted.sightings)
        await seen.forget(db, job.connection, job.resource, gone)
        if ids[CHUNK:]:
            await jobs.go_on(db, job, pause=work.over or tools.stopping.is_set())
        else:
            job.state = "done"
            await jobs.save(db, job, "JobFinished")
