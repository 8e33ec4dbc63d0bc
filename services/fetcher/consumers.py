"""Listen to connections that come and go, to requests for syncs, and to the fetcher's own jobs."""

from __future__ import annotations

from collections.abc import Mapping

from services.fetcher.plan import plan_connection, plan_refetch, plan_sync
from services.fetcher.worker import Worker
from shared.connector import Provider
from shared.contracts import connections, jobs, syncs
from shared.contracts.envelope import decode
from shared.contracts.syncs import RefetchItems, SyncRequested
from shared.contracts.topics import BACKGROUND_JOBS, CONNECTIONS, JOBS, SYNCS
from shared.db import Database
from shared.kafka import ConsumedRecord, Consumers


def listen(
    consumers: Consumers, *, database: Database, worker: Worker, providers: Mapping[str, Provider]
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
            match request:
                case SyncRequested():
                    await plan_sync(db, request, providers=providers)
                case RefetchItems():
                    await plan_refetch(db, request, providers=providers)

    async def on_run_job(record: ConsumedRecord) -> None:
        _, run_job = decode(record.value, record.headers, jobs.KINDS)
        background = record.topic == BACKGROUND_JOBS
        await worker.take(run_job, connection_id=_connection_id(record), background=background)

    consumers.each(CONNECTIONS, on_connection)
    consumers.each(SYNCS, on_sync)
    consumers.each(JOBS, on_run_job)
    consumers.each(BACKGROUND_JOBS, on_run_job)


def _connection_id(record: ConsumedRecord) -> str:
    """Return the connection of the lane that is the key of a ``RunJob``."""
    return record.key.decode(errors="replace").partition("/")[0]
