"""What the gateway counts, and what it shows of its tables."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from services.gateway.tables import outbox
from shared.backlog import backlog
from shared.db import Database
from shared.kafka import Consumers
from shared.telemetry import Collector, Counter

STALE_APPENDS: Final = Counter(
    "tributary_stale_appends",
    "Items that reached the topic after a newer version, or after their connection's end.",
)


def init_series() -> None:
    STALE_APPENDS.add(by=0)


def collectors(database: Database, consumers: Consumers) -> Mapping[str, Collector]:
    return {"outbox": partial(backlog, database, outbox), **consumers.collectors()}
