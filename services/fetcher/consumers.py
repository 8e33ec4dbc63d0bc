"""Listen to connections that come and go, to requests for syncs, and to the fetcher's own jobs."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher.orders import plan_confirmation, plan_removal
from services.fetcher.plan import Providers, plan_connection, plan_refetch, plan_sync
from services.fetcher.worker import Worker
from shared.contracts import connections, jobs, syncs
from shared.contracts.envelope import decode
from shared.contracts.syncs import (
    Command,
    ConfirmDeletions,
    RefetchItems,
    RemovePart,
    SyncRequested,
)
from shared.contracts.topics import BACKGROUND_JOBS, CONNECTIONS, JOBS, SYNCS
from shared.db import Database
from shared.kafka import ConsumedRecord, Consumers


def listen(
    consumers: Consumers, *, database: Database, worker: Worker, providers: Providers
) -> None:
    async def on_connection(record: ConsumedRecord) -> None:
        if record.value is None:
            return
        _, snapshot = decode(record.value, record.headers, connections.KINDS)
        async with database.write(lock=snapshot.id) as db:
            await plan_connection(db, snapshot, providers=providers)

    async def on_sync(record: ConsumedRecord) -> None:
        _, request = decode(record.value, record.headers, syncs.KINDS)
        async with database.write(lock=request.connection_id) as db:
            await _carry_out(db, request, providers)

    async def on_run_job(record: ConsumedRecord) -> None:
        _, run_job = decode(record.value, record.headers, jobs.KINDS)
        background = record.topic == BACKGROUND_JOBS
        await worker.take(run_job, connection_id=_connection_id(record), background=background)

    consumers.each(CONNECTIONS, on_connection)
    consumers.each(SYNCS, on_sync)
    consumers.each(JOBS, on_run_job)
    consumers.each(BACKGROUND_JOBS, on_run_job)


async def _carry_out(db: AsyncConnection, order: Command, providers: Providers) -> None:
    match order:
        case SyncRequested():
            await plan_sync(db, order, providers=providers)
        case RefetchItems():
            await plan_refetch(db, order, providers=providers)
        case ConfirmDeletions():
            await plan_confirmation(db, order)
        case RemovePart():
            await plan_removal(db, order)


def _connection_id(record: ConsumedRecord) -> str:
    """Return the connection of the lane that is the key of a ``RunJob``."""
    return record.key.decode(errors="replace").partition("/")[0]
