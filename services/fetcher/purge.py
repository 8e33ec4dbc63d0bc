"""Delete every item of a disconnected lane: send a tombstone for each id that readers may have."""

from __future__ import annotations

from typing import Final

import msgspec

from services.fetcher import known_items, parts, store, truncated, unconfirmed
from services.fetcher.context import FetcherContext, LaneRun
from services.fetcher.emit import tombstone
from services.fetcher.jobs import queries, transitions

ABOVE_ALL: Final = 1 << 62
"""A version above every other: epochs stay below 2^33 and leave 20 bits for the page."""


async def purge(run: LaneRun, context: FetcherContext) -> None:
    """Delete the next chunk, or close the job when nothing is left."""
    job = run.job
    context.tokens.forget(job.connection_id)
    async with context.database.write(lock=job.connection_id) as db:
        ids = await known_items.not_seen_since(
            db, job.connection_id, job.resource, version=ABOVE_ALL
        )
        await queries.record_pending(db, job, tuple(ids))
    at = run.next_version()
    sent = await context.producer.send_all(
        [tombstone(run, id_, version=at, reason="disconnected") for id_ in ids]
    )
    job.item_positions, job.pending_ids = {**job.item_positions, **sent}, ()
    job.receipt = msgspec.structs.replace(job.receipt, deleted=job.receipt.deleted + len(ids))
    async with context.database.write(lock=job.connection_id) as db:
        await known_items.forget(db, job.connection_id, job.resource, ids)
        if ids:
            await transitions.advance(db, job, end_run=run.ends)
        else:
            await store.lane_loaded(db, job.connection_id, job.resource, loaded=False)
            await parts.forget_lane(db, job.connection_id, job.resource)
            await store.forget_schemas(db, job.connection_id, job.resource)
            await unconfirmed.forget_lane(db, job)
            await truncated.forget_lane(db, job)
            await store.confirm_at(db, job.connection_id, job.resource, None)
            await known_items.forget_dropped(db, job.connection_id, job.resource)
            await transitions.finish(db, job, "done")
