"""Queries on syncs and the newest progress of their jobs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Row, Select, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway import store
from services.gateway.connections import queries as connections
from services.gateway.tables import sync_jobs, syncs
from shared.contracts.progress import FINAL, JobProgress, Receipt
from shared.contracts.topics import ITEMS
from shared.contracts.vocabulary import SyncMode, Trigger

_INSERT: Final = upsert(sync_jobs)
_SAVE: Final = _INSERT.on_conflict_do_update(
    index_elements=["sync_id", "resource"],
    set_={
        name: _INSERT.excluded[name]
        for name in ("job_id", "step", "revision", "final", "readable", "body")
    },
    # Another job of the same resource counts its steps from the beginning.
    where=(sync_jobs.c.job_id != _INSERT.excluded.job_id)
    | (sync_jobs.c.step < _INSERT.excluded.step),
)

_UNREADABLE: Final = select(sync_jobs).where(
    sync_jobs.c.final == True,  # noqa: E712  # SQL
    sync_jobs.c.readable == False,  # noqa: E712  # SQL
)
_NEWEST: Final = select(func.coalesce(func.max(sync_jobs.c.revision), 0))


class Sync(msgspec.Struct, frozen=True, kw_only=True):
    """One request to bring a connection up to date.

    ``whole`` means that it asked for every resource; times are epoch seconds.
    """

    id: str
    connection_id: str
    mode: SyncMode
    resources: tuple[str, ...]
    whole: bool
    trigger: Trigger
    requested_at: float
    ended_at: float | None = None


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """A job's newest progress. ``over``: it ended, and all its items can be read.

    ``revision`` rises with every change of any job: a stream resumes after the last one it sent.
    """

    body: JobProgress
    revision: int
    over: bool


async def add(db: AsyncConnection, sync: Sync) -> bool:
    """Write a new sync. Return False if it is already known."""
    row = msgspec.structs.asdict(sync) | {"resources": msgspec.json.encode(sync.resources)}
    if (await db.execute(upsert(syncs).values(row).on_conflict_do_nothing())).rowcount != 1:
        return False
    await _end(db, sync.id)  # its jobs may have been heard of, and ended, before the sync itself
    return True


async def get(db: AsyncConnection, id_: str) -> Sync | None:
    row = (await db.execute(select(syncs).where(syncs.c.id == id_))).mappings().first()
    return None if row is None else _sync(dict(row))


async def unfinished(db: AsyncConnection, connection_id: str) -> list[Sync]:
    """Return the syncs that have not ended, newest first, whatever they asked for."""
    query = select(syncs).where(syncs.c.connection_id == connection_id, syncs.c.ended_at.is_(None))
    return await _newest(db, query, None)


async def running(db: AsyncConnection) -> list[Sync]:
    """Return all syncs that have not ended, newest first."""
    return await _newest(db, select(syncs).where(syncs.c.ended_at.is_(None)), None)


async def newest(db: AsyncConnection, connection_id: str, *, limit: int = 1) -> list[Sync]:
    return await _newest(db, select(syncs).where(syncs.c.connection_id == connection_id), limit)


async def newest_whole(db: AsyncConnection, connection_id: str) -> Sync | None:
    """Return the newest sync that asked for every resource."""
    whole = syncs.c.whole == True  # noqa: E712  # SQL
    found = await _newest(db, select(syncs).where(syncs.c.connection_id == connection_id, whole), 1)
    return found[0] if found else None


async def _newest(db: AsyncConnection, query: Select[Any], limit: int | None) -> list[Sync]:
    rows = await db.execute(
        query.order_by(syncs.c.requested_at.desc(), syncs.c.id.desc()).limit(limit)
    )
    return [_sync(dict(row)) for row in rows.mappings()]


async def save_progress(db: AsyncConnection, bodies: Sequence[JobProgress]) -> None:
    """Keep the newest step of each job; older ones change nothing."""
    # Two writers would take the same numbers, but all of them hold the lock of the read model.
    revision = await newest_revision(db)
    rows = [
        {
            "sync_id": body.sync_id,
            "resource": body.resource,
            "job_id": body.job_id,
            "step": body.step,
            "revision": revision + number,
            "final": body.state in FINAL,
            "readable": False,
            "body": msgspec.json.encode(body),
        }
        for number, body in enumerate(bodies, 1)
    ]
    if rows:
        # Row by row: one upsert may not change a row twice, and a batch may hold several steps
        # of a job.
        await db.execute(_SAVE, rows)


async def progress(db: AsyncConnection, sync_id: str, *, after: int = 0) -> list[Progress]:
    """Return the progress of a sync's jobs in the order of its arrival, if newer than ``after``."""
    query = select(sync_jobs).where(sync_jobs.c.sync_id == sync_id, sync_jobs.c.revision > after)
    return [_progress(row) for row in await db.execute(query.order_by(sync_jobs.c.revision))]


async def newest_receipt(db: AsyncConnection, connection_id: str, resource: str) -> Receipt | None:
    """Return the receipt of the resource's job that ended last, None when none has ended."""
    ended = (
        select(sync_jobs.c.body)
        .join(syncs, syncs.c.id == sync_jobs.c.sync_id)
        .where(syncs.c.connection_id == connection_id, sync_jobs.c.resource == resource)
        .where(sync_jobs.c.final)
    )
    newest_first = ended.order_by(sync_jobs.c.revision.desc())
    body = (await db.execute(newest_first.limit(1))).scalar()
    return None if body is None else msgspec.json.decode(body, type=JobProgress).receipt


async def settle(db: AsyncConnection, *, log_id: str) -> None:
    """Mark ended jobs whose items have all been read, and end syncs without other jobs.

    This belongs in the transaction that moved the positions.
    """
    ended = [_progress(row) for row in await db.execute(_UNREADABLE)]
    if not ended:
        return
    read = await store.load_positions(db, ITEMS, log_id)
    revision = await newest_revision(db)
    for one in sorted(ended, key=lambda job: job.revision):
        if store.passed(read, one.body.item_positions):
            # A new revision, so that streams send the end as a change.
            revision += 1
            job = (sync_jobs.c.sync_id == one.body.sync_id) & (
                sync_jobs.c.resource == one.body.resource
            )
            await db.execute(update(sync_jobs).where(job).values(readable=True, revision=revision))
            await connections.save_end(db, one.body)
    for sync_id in sorted({one.body.sync_id for one in ended}):
        await _end(db, sync_id)


async def forget_positions(db: AsyncConnection) -> None:
    """Take the items of ended jobs for read: the log that they were on is lost."""
    for row in (await db.execute(_UNREADABLE)).all():
        body = msgspec.structs.replace(_progress(row).body, item_positions={})
        job = (sync_jobs.c.sync_id == row.sync_id) & (sync_jobs.c.resource == row.resource)
        await db.execute(update(sync_jobs).where(job).values(body=msgspec.json.encode(body)))


async def _end(db: AsyncConnection, id_: str) -> None:
    sync = await get(db, id_)
    if sync is None:
        return
    over = {one.body.resource: one.body.ended_at for one in await progress(db, id_) if one.over}
    if over.keys() >= set(sync.resources):
        last = max(
            (moment(ended_at) for ended_at in over.values() if ended_at), default=sync.requested_at
        )
        # The fetcher's clock may be behind ours: no sync ends before it was requested.
        await db.execute(
            update(syncs).where(syncs.c.id == id_).values(ended_at=max(last, sync.requested_at))
        )


async def newest_revision(db: AsyncConnection) -> int:
    return int((await db.execute(_NEWEST)).scalar_one())


def moment(text: str) -> float:
    """Return the epoch seconds of an RFC 3339 time. Raises ``ValueError``."""
    return datetime.fromisoformat(text).timestamp()


def _progress(row: Row[tuple[object, ...]]) -> Progress:
    body = msgspec.json.decode(row.body, type=JobProgress)
    return Progress(body=body, revision=row.revision, over=row.final and row.readable)


def _sync(row: dict[str, Any]) -> Sync:
    return Sync(**{**row, "resources": msgspec.json.decode(row["resources"], type=tuple[str, ...])})
