"""Mend what was lost or restored: a topic that the fetcher fills, or the fetcher's own database.

See docs/decisions/0036. Everything here may be done twice, and by several fetchers at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher import known_items, store
from services.fetcher.jobs import positions, queries, transitions
from services.fetcher.plan import plan_connection, plan_sync, plan_walk_again
from shared.connector import Provider
from shared.contracts import connections, jobs, progress, syncs
from shared.contracts.connections import Connection
from shared.contracts.envelope import Undecodable, decode
from shared.contracts.items import parse_key
from shared.contracts.jobs import RunJob
from shared.contracts.progress import FINAL, JobProgress
from shared.contracts.syncs import SyncRequested
from shared.contracts.topics import BACKGROUND_JOBS, CONNECTIONS, ITEMS, JOBS, PROGRESS, SYNCS
from shared.db import Database
from shared.kafka import ConsumedRecord, LoggedRecord, LogReader
from shared.log_marks import LOST, Comparison, LogMarks, compare, compare_running
from shared.settings import Cluster

_SENT: Final[dict[str, type[RunJob | JobProgress]]] = {**jobs.KINDS, **progress.KINDS}

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Stores:
    """The database and the topics that are compared, and what is needed to mend them."""

    database: Database
    marks: LogMarks
    cluster: Cluster
    providers: Mapping[str, Provider] = field(repr=False)


async def mend(at: Stores) -> None:
    """Compare the database with the topics, and bring forward what is behind."""
    await _note_sent_items(at)
    found = await compare(
        at.database, at.marks, cluster=at.cluster, written=store.WRITTEN, knows=_knows
    )
    lost = {topic for topic, finding in found.findings.items() if finding == "log_lost"}
    if lost:
        log.error("topics_lost", topics=sorted(lost))
        async with at.database.write() as db:
            if ITEMS in lost:
                # Where items were in the lost log says nothing of the new one.
                await positions.forget_positions(db)
            await at.marks.forget(db, lost, found)
        await _fill_again(at, lost)
    if await _is_behind(at, found):
        log.error("database_behind", reason="the topics hold messages that it does not know of")
        await _catch_up(at)
    if set(found.findings.values()) != {"same_day"}:
        async with at.database.write() as db:
            await at.marks.replace(db, found)


async def _knows(db: AsyncConnection, record: ConsumedRecord) -> bool:
    with suppress(Undecodable):
        told = decode(record.value, record.headers, _SENT)[1]
        job = await queries.get(db, told.job_id)
        if job is None:
            return False
        if isinstance(told, RunJob):
            return job.dispatch >= told.dispatch
        return job.step >= told.step
    return True


async def look(at: Stores) -> Mapping[str, str]:
    """Compare while the fetcher runs; return what a health check should say."""
    await _note_sent_items(at)
    return await compare_running(at.database, at.marks, cluster=at.cluster, topics=store.WRITTEN)


async def _note_sent_items(at: Stores) -> None:
    """Move the marks of the items topic to where the jobs have written."""
    async with at.database.write() as db:
        marks = await at.marks.load(db, [ITEMS])
        if marks and all(log_id != LOST for log_id, _ in marks.values()):
            await at.marks.note(db, {ITEMS: await positions.highest_positions(db)})


async def _is_behind(at: Stores, found: Comparison) -> bool:
    """Return whether the database was restored from an older copy, or is new beside old topics."""
    findings = set(found.findings.values())
    if "database_old" in findings:
        return True
    if findings != {"no_marks"}:
        return False
    # The first start of this version has no marks either, but it has connections.
    async with at.database.read() as db:
        knows_some = bool(await store.every_connection(db))
    return not knows_some and any(found.ends.values())


async def _fill_again(at: Stores, lost: set[str]) -> None:
    if lost & {JOBS, BACKGROUND_JOBS}:
        await _dispatch_again(at.database)
    if PROGRESS in lost:
        await _tell_again(at.database)
    if ITEMS in lost:
        # Deletions may be lost too: what is on the topic now is what readers have.
        await _learn_items(at)
        await _walk_all_again(at)


async def _dispatch_again(database: Database) -> None:
    """Send a new ``RunJob`` for each job that is ready: the last one may be lost."""
    async with database.read() as db:
        ready = await queries.in_state(db, "ready")
    for job in ready:
        async with database.write(lock=job.connection_id) as db:
            await transitions.redispatch(db, job, "forgotten")


async def _tell_again(database: Database) -> None:
    """Tell all syncs how far their jobs are. What readers know already changes nothing."""
    async with database.read() as db:
        jobs = await queries.find(db)
    for job in jobs:
        kind = "PageLoaded"
        if job.over:
            kind = "JobFailed" if job.outcome == "failed" else "JobFinished"
        async with database.write(lock=job.connection_id) as db:
            await queries.tell(db, job, kind)


async def _walk_all_again(at: Stores) -> None:
    async with at.database.read() as db:
        known = await store.every_connection(db)
    for snapshot in known:
        async with at.database.write(lock=snapshot.id) as db:
            await plan_walk_again(db, snapshot, providers=at.providers)


async def _catch_up(at: Stores) -> None:
    """Learn from the topics what the database does not know, and walk everything again.

    The items come first: a connection that was disconnected deletes what is known of it.
    """
    await _learn_items(at)
    ended = await _ended_syncs(at)
    await _learn_connections(at, ended)
    await _learn_syncs(at, ended)
    await _dispatch_again(at.database)
    await _walk_all_again(at)


async def _learn_items(at: Stores) -> None:
    """Note every item that readers have.

    One that is not at the provider any more would otherwise never be deleted.
    """
    async with LogReader(at.cluster, [ITEMS]) as reader:
        async for records in reader.whole():
            for (connection_id, resource), versions in _by_lane(records).items():
                async with at.database.write(lock=connection_id) as db:
                    await store.open_lanes(db, connection_id, [resource])
                    await known_items.invalidate(db, connection_id, resource, list(versions))
                    with suppress(ValueError):  # a version that nobody can have sent
                        await store.raise_epoch(
                            db, connection_id, resource, version=max(versions.values())
                        )


def _by_lane(records: Sequence[LoggedRecord]) -> dict[tuple[str, str], dict[str, int]]:
    """Return the versions of the items that are not deleted, by lane and id."""
    lanes: dict[tuple[str, str], dict[str, int]] = {}
    for logged in records:
        record = logged.record
        if record.value is None:
            continue
        try:
            ref, version = parse_key(record.key), int(dict(record.headers)["version"])
        except (ValueError, KeyError):
            continue  # the gateway keeps it as a dead letter
        lanes.setdefault((ref.connection_id, ref.resource), {})[ref.id] = version
    return lanes


async def _ended_syncs(at: Stores) -> frozenset[str]:
    """Return the syncs of which every job that was told of has ended."""
    newest: dict[str, dict[str, JobProgress]] = {}
    async with LogReader(at.cluster, [PROGRESS]) as reader:
        async for records in reader.whole():
            for logged in records:
                with suppress(Undecodable):
                    body = decode(logged.record.value, logged.record.headers, progress.KINDS)[1]
                    newest.setdefault(body.sync_id, {})[body.resource] = body
    ended = []
    for sync_id, told in newest.items():
        if all(one.state in FINAL for one in told.values()):
            ended.append(sync_id)
    return frozenset(ended)


async def _learn_connections(at: Stores, ended: frozenset[str]) -> None:
    newest: dict[str, Connection] = {}
    async with LogReader(at.cluster, [CONNECTIONS]) as reader:
        async for records in reader.whole():
            for logged in records:
                if logged.record.value is None:
                    continue
                with suppress(Undecodable):
                    body = decode(logged.record.value, logged.record.headers, connections.KINDS)[1]
                    newest[body.id] = body
    for snapshot in newest.values():
        async with at.database.write(lock=snapshot.id) as db:
            if snapshot.sync_id in ended:
                await store.first_time(db, snapshot.sync_id, snapshot.id)
            await plan_connection(db, snapshot, providers=at.providers)


async def _learn_syncs(at: Stores, ended: frozenset[str]) -> None:
    async with LogReader(at.cluster, [SYNCS]) as reader:
        async for records in reader.whole():
            for logged in records:
                with suppress(Undecodable):
                    order = decode(logged.record.value, logged.record.headers, syncs.KINDS)[1]
                    if isinstance(order, SyncRequested) and order.sync_id not in ended:
                        async with at.database.write(lock=order.connection_id) as db:
                            await plan_sync(db, order, providers=at.providers)


async def not_whole(database: Database) -> Mapping[str, str]:
    """Return what a health check should say while lost items are still being sent again."""
    async with database.read() as db:
        lost = await store.lost_lanes(db)
    if not lost:
        return {}
    what = "resource is" if lost == 1 else "resources are"
    return {
        "items": f"the topic {ITEMS} or the fetcher's database was lost or restored; {lost} "
        f"{what} still being synced again, until then items may be missing or old"
    }
