"""Count what the fetcher does, and read gauges from its tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final, get_args

from prometheus_client.core import Metric
from sqlalchemy import func, select

from services.fetcher.tables import UNFINISHED, jobs, outbox, workers
from shared.backlog import backlog
from shared.contracts.progress import Outcome
from shared.contracts.topics import ITEMS as ITEMS_TOPIC
from shared.db import Database
from shared.kafka import Consumers
from shared.kafka.metrics import count_dead_letters
from shared.telemetry import Collector, Counter, gauge

PAGES: Final = Counter("tributary_pages", "Pages read from a provider and recorded.", "provider")
ITEMS: Final = Counter(
    "tributary_items",
    "Items of recorded pages: sent, unchanged, deleted, or dropped because they could not be read.",
    "provider",
    "outcome",
)
ENDED: Final = Counter("tributary_jobs_ended", "Jobs that ended, by outcome.", "outcome")
WAITS: Final = Counter(
    "tributary_quota_waits", "Calls that waited for a provider's quota.", "provider"
)
WAITED: Final = Counter(
    "tributary_quota_wait_seconds",
    "Seconds for which calls were told to wait for quota.",
    "provider",
)
LIMITED: Final = Counter(
    "tributary_rate_limited", "Calls that a provider refused for its own rate limit.", "provider"
)

ITEM_OUTCOMES: Final = ("sent", "unchanged", "deleted", "dropped")
_STATES: Final = (
    select(jobs.c.state, func.count()).where(jobs.c.state.in_(UNFINISHED)).group_by(jobs.c.state)
)


def init_series(providers: Iterable[str]) -> None:
    for slug in providers:
        for count in (PAGES, WAITS, WAITED, LIMITED):
            count.add(slug, by=0)
        for outcome in ITEM_OUTCOMES:
            ITEMS.add(slug, outcome, by=0)
    for outcome in get_args(Outcome):
        ENDED.add(outcome, by=0)
    count_dead_letters(ITEMS_TOPIC, 0)


def collectors(
    database: Database, consumers: Consumers, *, slots: int, in_use: Callable[[], int]
) -> Mapping[str, Collector]:
    async def of_slots() -> Iterable[Metric]:
        return [
            gauge("tributary_slots", "Jobs that this fetcher works on at once, at most.", slots),
            gauge("tributary_slots_in_use", "Jobs that this fetcher is working on.", in_use()),
        ]

    return {
        "jobs": partial(_jobs, database),
        "workers": partial(_workers, database),
        "outbox": partial(backlog, database, outbox),
        "slots": of_slots,
        **consumers.collectors(),
    }


async def _jobs(database: Database) -> Iterable[Metric]:
    """Read the number of jobs that are not over, by state."""
    # The table keeps the jobs that are over, and a scrape must stay cheap: those are counted when
    # they end.
    async with database.read() as db:
        found = dict.fromkeys(((state,) for state in UNFINISHED), 0.0)
        found |= {(state,): count for state, count in await db.execute(_STATES)}
    return [
        gauge(
            "tributary_jobs", "Jobs that are not over, of all fetchers, by state.", found, "state"
        )
    ]


async def _workers(database: Database) -> Iterable[Metric]:
    async with database.read() as db:
        count = (await db.execute(select(func.count()).select_from(workers))).scalar_one()
    return [gauge("tributary_workers", "Fetchers whose heartbeat is recent.", count)]
