"""The gateway's counters and collectors."""

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
    "Items appended after a newer version, or after their connection was disconnected.",
)


def init_series() -> None:
    # Prometheus sees no increase in a series that begins with 1: it would miss the first event.
    # https://prometheus.io/docs/practices/instrumentation/#avoid-missing-metrics
    STALE_APPENDS.add(by=0)


def collectors(database: Database, consumers: Consumers) -> Mapping[str, Collector]:
    return {"outbox": partial(backlog, database, outbox), **consumers.collectors()}
