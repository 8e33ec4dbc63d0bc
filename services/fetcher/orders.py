"""Carry out a person's order for a part: delete the items that are held, or all of them."""

from __future__ import annotations

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher import known_items, stale, store, unconfirmed
from services.fetcher.context import FetcherContext, LaneRun
from services.fetcher.emit import tombstone
from services.fetcher.jobs import queries, transitions
from services.fetcher.jobs.queries import new_job
from shared import clock
from shared.contracts.syncs import ConfirmDeletions, RemovePart


async def plan_confirmation(db: AsyncConnection, order: ConfirmDeletions) -> None:
    """Release the held deletions of a part; a job in the background sends them."""
    if await unconfirmed.confirm(db, order.connection_id, order.resource, part=order.part):
        await store.confirm_at(db, order.connection_id, order.resource, clock.now())


async def plan_removal(db: AsyncConnection, order: RemovePart) -> None:
    """Create a job that deletes every item of a part; do nothing if the part has none."""
    source = await store.connection(db, order.connection_id)
    if source is None or source.status == "disconnected":
        return
    first = await known_items.of_part(db, order.connection_id, order.resource, order.part, most=1)
    if first:
        job = new_job(source.id, order.resource, source.generation, kind="remove")
        job.cursor = {"part": order.part}
        await transitions.create(db, job)


async def remove(run: LaneRun, context: FetcherContext) -> None:
    """Delete the next chunk of a part, or close the job when nothing is left.

    Nothing more is deleted once a walk has read the part completely.
    """
    job, at = run.job, run.next_version()
    part: str = (job.cursor or {"part": ""})["part"]
    async with context.database.write(lock=job.connection_id) as db:
        if not await stale.is_stale(db, job, part):
            await transitions.finish(db, job, "done")
            return
        # Behind the part's place, what is deleted here would be missing.
        await stale.begin_anew(db, job, part)
        ids = await known_items.of_part(db, job.connection_id, job.resource, part)
        await queries.record_pending(db, job, tuple(ids))
    sent = await context.producer.send_all(
        [tombstone(run, id_, version=at, reason="removed") for id_ in ids]
    )
    job.item_positions, job.pending_ids = {**job.item_positions, **sent}, ()
    job.receipt = msgspec.structs.replace(job.receipt, deleted=job.receipt.deleted + len(ids))
    async with context.database.write(lock=job.connection_id) as db:
        await known_items.forget(db, job.connection_id, job.resource, ids)
        await unconfirmed.forget(db, job, ids)
        if ids:
            await transitions.advance(db, job, end_run=run.ends)
        else:
            await transitions.finish(db, job, "done")
