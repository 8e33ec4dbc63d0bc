"""Count refreshes, and read gauges from auth's tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Final

from prometheus_client.core import Metric
from sqlalchemy import func, select

from services.auth.tables import connections, outbox
from shared.backlog import backlog
from shared.db import Database
from shared.telemetry import Collector, Counter, gauge

REFRESHES: Final = Counter(
    "tributary_refreshes", "Token refreshes, by outcome.", "provider", "outcome"
)
OUTCOMES: Final = (
    "refreshed",
    "unwanted",  # before the answer came, somebody had disconnected or consented again
    "dead_grant",
    "bad_client",
    "refused",
    "away",
    "lost",
    "unreadable",  # the stored tokens could not be opened
)
_STATUSES: Final = select(connections.c.provider, connections.c.status, func.count()).group_by(
    connections.c.provider, connections.c.status
)


def init_series(providers: Iterable[str]) -> None:
    for slug in providers:
        for outcome in OUTCOMES:
            REFRESHES.add(slug, outcome, by=0)


def collectors(database: Database) -> Mapping[str, Collector]:
    return {
        "connections": partial(_connections, database),
        "outbox": partial(backlog, database, outbox),
    }


async def _connections(database: Database) -> Iterable[Metric]:
    async with database.read() as db:
        found = {(slug, status): count for slug, status, count in await db.execute(_STATUSES)}
    return [
        gauge(
            "tributary_connections",
            "Connections, by provider and status.",
            found,
            "provider",
            "status",
        )
    ]
