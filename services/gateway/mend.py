"""Mend what was lost or restored: the topics that the read model is made of.

See docs/decisions/0036. The gateway's own database needs nothing: its positions are in it, so an
older copy reads on from there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import structlog

from services.gateway import store
from services.gateway.store import READ_MODEL
from services.gateway.syncs import queries as syncs
from services.gateway.syncs.request import sync_requested
from shared.contracts.topics import CONNECTIONS, ITEMS, PROGRESS, SYNCS
from shared.db import Database
from shared.log_marks import LogMarks, compare, compare_running, everything
from shared.settings import Cluster

READ: Final = (CONNECTIONS, SYNCS, PROGRESS, ITEMS)

log = structlog.get_logger()


async def lost_topics(
    database: Database, log_ids: Mapping[str, str], *, cluster: Cluster
) -> Collection[str]:
    """Return the topics that are another log, or end before the position read so far."""
    marks = store.marks(log_ids)
    read = dict.fromkeys(READ)
    found = await compare(database, marks, cluster=cluster, written=read, knows=everything)
    return sorted(topic for topic, finding in found.findings.items() if finding == "log_lost")


async def look(database: Database, marks: LogMarks, *, cluster: Cluster) -> Mapping[str, str]:
    """Compare while the gateway runs; return what a health check should say."""
    return await compare_running(database, marks, cluster=cluster, topics=READ)


async def read_again(database: Database, lost: Collection[str]) -> None:
    """Read lost topics from their beginning, and send again what only the gateway knows.

    What they do not hold any more stays in the read model, until those who filled them have sent it
    again.
    """
    if not lost:
        return
    log.error("topics_lost", topics=lost)
    async with database.write(lock=READ_MODEL) as db:
        await store.forget_positions(db, lost)
        if ITEMS in lost:
            # No position in this log tells that the items of a job that has ended were read.
            await syncs.forget_positions(db)
        if SYNCS in lost:
            await store.send(db, *[sync_requested(one) for one in await syncs.running(db)])
