"""Fold the topics into the read model: each batch and its positions in one transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
import structlog
from msgspec.structs import asdict
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway import store
from services.gateway.connections import queries as connections
from services.gateway.context import Watch
from services.gateway.items import queries as items
from services.gateway.metrics import STALE_APPENDS
from services.gateway.store import READ_MODEL
from services.gateway.syncs import queries as syncs
from services.gateway.syncs.queries import Sync
from shared import clock
from shared.connector import Provider
from shared.contracts import connections as connection_events
from shared.contracts import progress as progress_events
from shared.contracts import syncs as sync_events
from shared.contracts.connections import Connection
from shared.contracts.envelope import Message, Undecodable, decode, event
from shared.contracts.items import Item, parse_key
from shared.contracts.progress import JobProgress
from shared.contracts.syncs import Command, RefetchItems, SyncRequested
from shared.contracts.topics import CONNECTIONS, ITEMS, PROGRESS, SYNCS
from shared.db import Database
from shared.failpoints import failpoint
from shared.kafka import ConsumedRecord, Consumers

log = structlog.get_logger()
T = TypeVar("T")
Fold = Callable[[AsyncConnection, list[Any]], Awaitable[None]]
Read = Callable[[ConsumedRecord], Any]

CHUNK: Final = 200
"""The most ids in one request: they stay in the job's row until all are read, so their number is
bounded."""


class ItemBody(Item, frozen=True, kw_only=True):
    """An item as it is received: ``raw`` keeps the original bytes."""

    raw: msgspec.Raw = msgspec.Raw(b"null")  # type: ignore[assignment]


DECODER: Final = msgspec.json.Decoder(ItemBody)


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


async def project_items(
    db: AsyncConnection, rows: Sequence[dict[str, Any]]
) -> dict[items.ItemKey, int]:
    """Write the item rows of one batch, in the order of their offsets.

    Return the keys of stale appends, each with the highest version known of it. They were appended
    after a newer version of their key, or after the deletion that came with a disconnect. A paused
    worker can do that when it wakes, and the topic would then end with an old item.
    """
    # One row per key: PostgreSQL refuses an upsert that would change a row twice.
    # https://www.postgresql.org/docs/current/sql-insert.html#SQL-ON-CONFLICT
    newest, stale = _newest(rows)
    open_generation = await connections.open_generations(db, {key[0] for key in newest})
    ended_rows = [
        row
        for row in newest.values()
        if row["generation"] < open_generation.get(row["connection_id"], 0)
    ]
    # A deletion is written even then: as a row it guards against what is appended after it.
    ended_keys = {items.key(row) for row in ended_rows if not row["deleted"]}
    writable = [row for key, row in sorted(newest.items()) if key not in ended_keys]
    maybe_stale = [newest[key] for key in ended_keys]
    # Normally every row is newer and is written, and stored versions need no look.
    if await items.write(db, writable) < len(writable):
        maybe_stale += writable
    stale |= await items.stale_appends(db, maybe_stale)
    if not stale:
        return {}
    stored = await items.versions(db, stale)
    return {key: max(newest[key]["version"], stored.get(key, 0)) for key in sorted(stale)}


def _newest(
    rows: Sequence[dict[str, Any]],
) -> tuple[dict[items.ItemKey, dict[str, Any]], set[items.ItemKey]]:
    """Return the highest version of each key, and the keys that have an older one after it."""
    newest: dict[items.ItemKey, dict[str, Any]] = {}
    stale: set[items.ItemKey] = set()
    for row in rows:
        key = items.key(row)
        known = newest.get(key)
        if known is None or known["version"] < row["version"]:
            newest[key] = row if known is None else _keeping_synced_at(row, known)
        elif known["version"] > row["version"]:
            stale.add(key)
    return newest, stale


def _keeping_synced_at(row: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """Return the row with the previous ``synced_at`` if its content is the same."""
    same = row["digest"] is not None and row["digest"] == before["digest"]
    return {**row, "synced_at": before["synced_at"]} if same else row


def refetch_requests(stale: Mapping[items.ItemKey, int]) -> list[Message]:
    """Return the requests that make the fetcher send these keys again, above these versions."""
    lanes: dict[tuple[str, str], dict[str, int]] = {}
    for (connection_id, resource, id_), version in stale.items():
        lanes.setdefault((connection_id, resource), {})[id_] = version
    return [
        event(SYNCS, key=one.connection_id, kind="RefetchItems", source="gateway", body=one)
        for (connection_id, resource), highest in lanes.items()
        for one in _refetches(connection_id, resource, highest)
    ]


def _refetches(
    connection_id: str, resource: str, highest: Mapping[str, int]
) -> Iterator[RefetchItems]:
    known = tuple(highest)
    for start in range(0, len(known), CHUNK):
        ids = known[start : start + CHUNK]
        most = max(highest[id_] for id_ in ids)
        yield RefetchItems(
            connection_id=connection_id, resource=resource, ids=ids, highest_version=most
        )


def item_row(record: ConsumedRecord) -> dict[str, Any]:
    """Return the row of an item's message.

    A deletion becomes a row that guards against older versions.

    Raises:
        Undecodable: the key, a header or the value breaks the contract.
    """
    # Read once: looking up each header would take half the time of this function.
    headers = dict(record.headers)
    try:
        ref = parse_key(record.key)
        version, generation = int(headers["version"]), int(headers["generation"])
        org_id, synced_at = headers["org_id"].decode(), headers["ce_time"].decode()
        digest = headers["digest"].decode() if "digest" in headers else None
        body = None if record.value is None else DECODER.decode(record.value)
    except KeyError as missing:
        reason = f"not an item: the header {missing.args[0]} is missing"
        raise Undecodable("malformed", reason) from missing
    # Deeply nested JSON raises RecursionError; it must not stop the partition.
    except (ValueError, msgspec.DecodeError, RecursionError) as error:
        raise Undecodable("malformed", f"not an item: {error}") from error
    row = {**items.BLANK}
    if body is not None:
        row |= asdict(body)
        # Folded here, because SQLite's own functions fold only ASCII.
        # https://www.sqlite.org/lang_corefunc.html#lower
        row |= {"raw": bytes(body.raw), "name_folded": body.name.casefold(), "digest": digest}
        row["truncated"] = msgspec.json.encode(body.truncated) if body.truncated else b""
    return row | {
        "connection_id": ref.connection_id,
        "resource": ref.resource,
        "id": ref.id,
        "org_id": org_id,
        "generation": generation,
        "version": version,
        "synced_at": synced_at,
        "deleted": body is None,
        "partition": record.partition,
        "offset": record.offset,
    }


async def apply_connection(
    db: AsyncConnection, snapshot: Connection, *, provider: Provider | None
) -> None:
    """Keep a newer snapshot. Add the sync that it names; drop the items of a disconnected account.

    An older snapshot, or the same again, changes nothing.
    """
    # Read before the save, which overwrites the generation whose items must go.
    before = await connections.get(db, snapshot.id)
    if not await connections.save(db, snapshot):
        return
    if (
        before is not None
        and before.generation < snapshot.generation
        and before.status != "disconnected"
    ):
        # The disconnect has not arrived yet: the answer to the consent that followed it came first.
        await items.drop_generations(db, snapshot.id, up_to=before.generation)
        await connections.forget_resources(db, snapshot.id)
    if snapshot.status == "disconnected":
        await items.drop_generations(db, snapshot.id, up_to=snapshot.generation)
        await connections.forget_resources(db, snapshot.id)
    # Without its provider, which may have been removed here, nobody knows the sync's resources.
    elif snapshot.sync_id and provider is not None:
        await syncs.add(db, first_sync(snapshot, snapshot.sync_id, provider))


def first_sync(snapshot: Connection, id_: str, provider: Provider) -> Sync:
    """Return the sync that a ``Connected`` or ``Recovered`` event starts.

    It has the event's id and time.
    """
    return Sync(
        id=id_,
        connection_id=snapshot.id,
        mode="full",
        resources=tuple(resource.slug for resource in provider.resources),
        whole=True,
        trigger="connected",
        requested_at=_made_at(id_),
    )


def requested_sync(asked: SyncRequested) -> Sync:
    """Return the sync of one of our own requests, as its row was first written.

    Raises ``Undecodable``.
    """
    try:
        requested_at = syncs.moment(asked.requested_at)
    except ValueError:
        raise Undecodable("malformed", "requested_at is not a time") from None
    return Sync(
        id=asked.sync_id,
        connection_id=asked.connection_id,
        mode=asked.mode,
        resources=asked.resolved_resources or asked.resources or (),
        whole=asked.resources is None,
        trigger=asked.trigger,
        requested_at=requested_at,
    )


def _made_at(id_: str) -> float:
    """Return the epoch seconds in a UUIDv7 (RFC 9562 §5.7).

    A rebuilt read model shows the same time.
    """
    try:
        return int(id_[:12], 16) / 1000
    except ValueError:
        return clock.now()
