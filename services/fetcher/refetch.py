"""Read some ids again: send what is there under a newer version, delete what is gone.

Delete only what the provider says is gone. An id that it merely does not find is left to the next
walk, which sees whether its part still has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher import emit, known_items
from services.fetcher.context import FetcherContext, JobRun
from services.fetcher.emit import Before, Emission, send_dead_letters, tombstones
from services.fetcher.jobs import queries, transitions
from services.fetcher.jobs.queries import Job
from shared.connector import Lookup, Rejected

# Ids per checkpoint. Where a provider has no batch read, each of them takes a call.
CHUNK: Final = 50


async def refetch(run: JobRun, context: FetcherContext) -> None:
    """Read the next ids of the job's cursor, and close the job after the last ones."""
    job, at = run.job, run.next_version()
    ids = (job.cursor or {"ids": []})["ids"]
    lookup = await run.connector.read(run.call, job.resource, tuple(ids[:CHUNK]))
    gone = [one for one in lookup.gone if one.id in ids[:CHUNK]]
    deleted = tuple(one.id for one in gone)
    async with context.database.write(lock=job.connection_id) as db:
        before = await _before(db, run, lookup)
        emitted = emit.emission(run, lookup, version=at, before=before, always=True)
        lane = await queries.record_pending(db, job, emitted.sent + deleted)
        letters = await _letters(db, job, lookup)
        unread = await _unread(db, job, ids[:CHUNK], lookup)
    await send_dead_letters(run, context, letters)
    deletions = tombstones(run, gone, version=at)
    sent = await context.producer.send_all(emitted.messages + deletions)
    job.item_positions = {**job.item_positions, **sent}
    _count(job, emitted, deleted=len(gone))
    job.cursor = {"ids": ids[CHUNK:]}
    async with context.database.write(lock=job.connection_id) as db:
        await emit.record(db, job, emitted, lane=lane)
        await _record_others(db, job, lookup, deleted=deleted, unread=unread, version=at)
        if ids[CHUNK:]:
            await transitions.advance(db, job, end_run=run.ends)
        else:
            await transitions.finish(db, job, "done")


async def _letters(db: AsyncConnection, job: Job, lookup: Lookup) -> Sequence[Rejected]:
    rejected = lookup.rejected
    return await known_items.without_letter(db, job.connection_id, job.resource, rejected)


async def _record_others(
    db: AsyncConnection,
    job: Job,
    lookup: Lookup,
    *,
    deleted: Sequence[str],
    unread: Sequence[str],
    version: int,
) -> None:
    """Remember what was deleted, what could not be read, and what the lookup says nothing of."""
    lane = job.connection_id, job.resource
    await known_items.forget(db, *lane, deleted)
    await known_items.record_dropped(db, *lane, lookup.rejected, version=version)
    await known_items.invalidate(db, *lane, unread)


async def _unread(db: AsyncConnection, job: Job, ids: Sequence[str], lookup: Lookup) -> list[str]:
    """Return what we know of these ids that the lookup says nothing of.

    Readers may have an older state of it, so the next walk has to send it even if it finds it
    unchanged.
    """
    told = {record.id for record in lookup.records} | {one.id for one in lookup.gone}
    known = await known_items.known(db, job.connection_id, job.resource, ids)
    return [id_ for id_ in ids if id_ in known and id_ not in told]


async def _before(db: AsyncConnection, run: JobRun, lookup: Lookup) -> Before:
    """Return what we know of the records, as if lists had given the truncated ones differently.

    Everything is sent again, but what readers have whole is completed first.
    """
    before = await emit.known_before(db, run.job, lookup.records)
    rows = {id_: replace(row, listed=b"") for id_, row in before.truncated.items()}
    return replace(before, truncated=rows)


def _count(job: Job, emitted: Emission, *, deleted: int) -> None:
    job.pages += 1
    job.items += len(emitted.sent)
    job.attempts, job.failing_since, job.pending_ids = 0, None, ()
    receipt = emitted.receipt
    job.receipt = replace(receipt, deleted=receipt.deleted + deleted)
