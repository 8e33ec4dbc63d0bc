"""Consume the topics: each batch is folded and its positions saved in one transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway import store
from services.gateway.context import Watch
from services.gateway.metrics import STALE_APPENDS
from services.gateway.project import (
    apply_connection,
    item_row,
    project_items,
    refetch_requests,
    requested_sync,
)
from services.gateway.store import READ_MODEL
from services.gateway.syncs import queries as syncs
from services.gateway.syncs.queries import Sync
from shared.connector import Provider
from shared.contracts import connections as connection_events
from shared.contracts import progress as progress_events
from shared.contracts import syncs as sync_events
from shared.contracts.connections import Connection
from shared.contracts.envelope import Undecodable, decode
from shared.contracts.progress import JobProgress
from shared.contracts.syncs import Command, SyncRequested
from shared.contracts.topics import CONNECTIONS, ITEMS, PROGRESS, SYNCS
from shared.db import Database
from shared.failpoints import failpoint
from shared.kafka import ConsumedRecord, Consumers

log = structlog.get_logger()
T = TypeVar("T")
Fold = Callable[[AsyncConnection, list[Any]], Awaitable[None]]
Read = Callable[[ConsumedRecord], Any]


class StoredPositions:
    """Positions in the gateway's own database, for the present log of each topic."""

    def __init__(self, database: Database, log_ids: Mapping[str, str]) -> None:
        self._database, self._log_ids = database, log_ids

    async def load(self, topic: str) -> Mapping[int, int]:
        async with self._database.read() as db:
            return await store.load_positions(db, topic, self._log_ids[topic])


def listen(
    consumers: Consumers,
    *,
    database: Database,
    log_ids: Mapping[str, str],
    watch: Watch,
    providers: Mapping[str, Provider],
) -> None:
    async def on_connections(db: AsyncConnection, snapshots: list[Connection]) -> None:
        for snapshot in snapshots:
            await apply_connection(db, snapshot, provider=providers.get(snapshot.provider))

    stored = StoredPositions(database, log_ids)
    folds: tuple[tuple[str, Read, Fold], ...] = (
        (ITEMS, item_row, on_items),
        (PROGRESS, _read_progress, syncs.save_progress),
        (CONNECTIONS, _read_connection, on_connections),
        (SYNCS, _read_sync, _on_syncs),
    )

    def in_one_transaction(
        topic: str, read: Read, fold: Fold
    ) -> Callable[[list[ConsumedRecord]], Awaitable[None]]:
        """Return a handler of batches.

        It decodes first, so that dead letters are safe before the transaction begins.
        """

        async def handle(batch: list[ConsumedRecord]) -> None:
            readable = await _readable(consumers, batch, read)
            async with database.write(lock=READ_MODEL) as db:
                await fold(db, readable)
                # From the whole batch: a dead letter counts as read, or it would come again.
                read_to = {one.partition: one.offset + 1 for one in batch}
                await store.save_positions(db, topic, log_ids[topic], read_to)
                # After every topic: a job's end may arrive before its items or after them.
                await syncs.settle(db, log_id=log_ids[ITEMS])
                failpoint("before_batch_commit")
            # Only after the commit: whoever wakes up looks at once, and would see the old rows.
            watch.changed()

        return handle

    for topic, read, fold in folds:
        consumers.batches(topic, in_one_transaction(topic, read, fold), stored)


async def on_items(db: AsyncConnection, rows: list[dict[str, Any]]) -> None:
    """Fold items, and have stale appends fetched again.

    A stale append is the last record of its key on the topic, so compaction would keep it instead
    of the newer version.
    """
    stale = await project_items(db, rows)
    STALE_APPENDS.add(by=len(stale))
    if stale:
        log.warning(
            "stale_appends", count=len(stale), connection_ids=sorted({key[0] for key in stale})[:10]
        )
        await store.send(db, *refetch_requests(stale))


async def _on_syncs(db: AsyncConnection, asked: list[Sync | None]) -> None:
    """Add our own requests. They are already known unless the read model is being rebuilt."""
    for sync in asked:
        if sync is not None and sync.resources:
            await syncs.add(db, sync)


def _read_sync(one: ConsumedRecord) -> Sync | None:
    body: Command = decode(one.value, one.headers, sync_events.KINDS)[1]
    return requested_sync(body) if isinstance(body, SyncRequested) else None


def _read_progress(one: ConsumedRecord) -> JobProgress:
    return decode(one.value, one.headers, progress_events.KINDS)[1]


def _read_connection(one: ConsumedRecord) -> Connection:
    return decode(one.value, one.headers, connection_events.KINDS)[1]


async def _readable(
    consumers: Consumers, batch: list[ConsumedRecord], read: Callable[[ConsumedRecord], T]
) -> list[T]:
    """Decode what can be decoded, and publish the rest as dead letters so that reading can go on.

    A null value is a message only where ``read`` accepts one: on the connections topic it is an
    expired key.
    """
    decoded: list[T] = []
    for one in batch:
        if one.value is None and one.topic == CONNECTIONS:
            continue
        try:
            decoded.append(read(one))
        except Undecodable as error:
            await consumers.dead_letter(one, error)
    return decoded
