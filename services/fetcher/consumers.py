"""What the fetcher listens to: connections that come and go, syncs that are asked for, its own wake-ups."""

from __future__ import annotations

from collections.abc import Mapping

from services.fetcher.plan import plan_connection, plan_read, plan_sync
from services.fetcher.worker import Worker
from shared.connector import Provider
from shared.contracts import connections, pages, syncs
from shared.contracts.envelope import decode
from shared.contracts.syncs import ReadAgain, SyncRequested
from shared.contracts.topics import BACKGROUND, CONNECTIONS, PAGES, SYNCS
from shared.db import Database
from shared.kafka import ConsumedRecord, Consumers


def listen(consumers: Consumers, *, database: Database, worker: Worker, providers: Mapping[str, Provider]) -> None:
    async def on_connection(record: ConsumedRecord) -> None:
        if record.value is None:
            return
        _, snapshot = decode(record.value, record.headers, connections.KINDS)
        async with database.write(lock=snapshot.id) as db:
            await plan_connection(db, snapshot, providers=providers)

    async def on_sync(record: ConsumedRecord) -> None:
        _, request = decode(record.value, record.headers, syncs.KINDS)
        async with database.write(lock=request.connection) as db:
            match request:
                case SyncRequested():
                    await plan_sync(db, request, providers=providers)
                case ReadAgain():
                    await plan_read(db, request, providers=providers)

    async def on_load_page(record: ConsumedRecord) -> None:
        _, wake_up = decode(record.value, record.headers, pages.KINDS)
        await worker.take(wake_up, connection=_connection(record), background=record.topic == BACKGROUND)

    consumers.each(CONNECTIONS, on_connection)
    consumers.each(SYNCS, on_sync)
    consumers.each(PAGES, on_load_page)
    consumers.each(BACKGROUND, on_load_page)


def _connection(record: ConsumedRecord) -> str:
    """Of the lane that is the key of a wake-up."""
    return record.key.decode(errors="replace").partition("/")[0]
