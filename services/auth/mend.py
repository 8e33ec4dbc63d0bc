"""Mend what was lost or restored: the connections topic, or auth's own database.

See docs/decisions/0036. Everything here may be done twice, and by several processes at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from services.auth import credentials, store
from services.auth.store import WRITTEN
from services.auth.upgrade import send_connections_again
from shared.contracts import connections
from shared.contracts.connections import Connection
from shared.contracts.envelope import Undecodable, decode, timestamp
from shared.contracts.topics import CONNECTIONS
from shared.db import Database
from shared.kafka import ConsumedRecord, LogReader
from shared.log_marks import LogMarks, compare, compare_running
from shared.settings import Cluster

LOST: Final = "Tributary's copy of the account's tokens was lost. Connect the account again."

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Stores:
    """The database and the topics that are compared."""

    database: Database
    marks: LogMarks
    cluster: Cluster


async def mend(at: Stores) -> None:
    """Compare the database with the connections topic, and bring forward what is behind."""
    found = await compare(at.database, at.marks, cluster=at.cluster, written=WRITTEN, knows=_knows)
    finding = found.findings[CONNECTIONS]
    if finding == "same_day":
        return
    told = {} if finding == "log_lost" else await _told(at.cluster)
    async with at.database.write() as db:
        if await at.marks.load(db, [CONNECTIONS]) != found.marks:
            return  # another process has mended it
        learned = [one.id for one in told.values() if await _learn(db, one)]
        if learned:
            log.error("database_behind", connection_ids=learned[:10], count=len(learned))
        if finding == "log_lost" or await store.untold(db, set(told)):
            log.error("topics_lost", topics=[CONNECTIONS])
            await send_connections_again(db)
            await at.marks.forget(db, [CONNECTIONS], found)
        await at.marks.replace(db, found)


async def _knows(db: AsyncConnection, record: ConsumedRecord) -> bool:
    with suppress(Undecodable):
        told = decode(record.value, record.headers, connections.KINDS)[1]
        known = await store.get_connection(db, told.id)
        return known is not None and known.version >= told.version
    return True


async def look(at: Stores) -> Mapping[str, str]:
    """Compare while auth runs; return what a health check should say."""
    return await compare_running(at.database, at.marks, cluster=at.cluster, topics=WRITTEN)


async def _told(cluster: Cluster) -> dict[str, Connection]:
    """Return the newest snapshots on the topic."""
    newest: dict[str, Connection] = {}
    async with LogReader(cluster, [CONNECTIONS]) as reader:
        async for records in reader.whole():
            for logged in records:
                if logged.record.value is None:
                    continue
                with suppress(Undecodable):
                    body = decode(logged.record.value, logged.record.headers, connections.KINDS)[1]
                    newest[body.id] = body
    return newest


async def _learn(db: AsyncConnection, told: Connection) -> bool:
    """Take over what others know of a connection; return whether it was new.

    A connection whose tokens we do not have must be connected again. If only some refreshes were
    forgotten, the tokens may still be good: the next refresh shows it.
    """
    known = await store.get_connection(db, told.id)
    if known is not None and known.version >= told.version:
        return False
    same = await store.connection_by_identity(db, told)
    if same is not None and same.id != told.id:
        log.warning("connection_replaced", connection_id=told.id, by=same.id)
        return False
    await store.take_over(db, told)
    if told.status == "disconnected":
        await credentials.drop(db, told.id)
    elif known is None or known.generation < told.generation or known.status == "disconnected":
        await credentials.drop(db, told.id)
        lost = replace(
            told,
            version=told.version + 1,
            status="reauth_required",
            reason=LOST,
            updated_at=timestamp(),
        )
        await store.publish(db, lost, "ReauthorizationNeeded")
    return True
