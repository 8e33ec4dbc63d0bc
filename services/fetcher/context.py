"""Define what a run of a job works with: the context of its worker, and the run's own state."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec

from services.fetcher.call import ProviderCall, Tokens
from services.fetcher.circuits import Circuits
from services.fetcher.jobs.queries import Job
from services.fetcher.parts import WalkedPart
from services.fetcher.settings import GIVE_UP_AFTER_S, Runtime
from shared import clock
from shared.connector import (
    LEFT_OUT,
    Completes,
    Connector,
    LeavesOut,
    ListsDeleted,
    PartSchema,
    RemembersSchemas,
)
from shared.contracts.connections import Connection
from shared.contracts.items import version
from shared.db import Database
from shared.http import HttpClient
from shared.kafka import Producer
from shared.quota import Quota

MOST_EMPTY: Final = 10_000
"""Empty pages in a row after which a part ends. We know of no provider that sends so many."""
MOST_SCHEMAS: Final = 256
"""The most schemas that a worker keeps; one can take a few hundred kilobytes."""
RUN_S: Final = 5.0
"""Seconds after which a run starts no new page, so that other jobs get a turn."""
SHORT_S: Final = 0.5
"""The length of a run, in seconds, while other jobs wait for a slot."""
TELL_S: Final = 0.3
"""Pages that follow each other faster than this, in seconds, share one progress message."""
_SORTED: Final = msgspec.json.Encoder(order="sorted")


@dataclass
class SlotQueue:
    """Count the ``RunJob``s that wait for a slot of this worker."""

    waiting: int = 0


class KeptSchema(NamedTuple):
    """A schema, and a digest of 16 bytes that shows when it has changed."""

    schema: PartSchema
    digest: bytes


def asked_for(schema: PartSchema) -> PartSchema:
    """Return what a schema says of the pages themselves, without what is left out."""
    return {name: value for name, value in schema.items() if name != LEFT_OUT}


class Schemas:
    """Keep the schemas last used, by job and key, so that a job reads each of them once.

    They are not shared between jobs: each job has to notice what was added since the one before.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], KeptSchema] = OrderedDict()

    def get(self, job_id: str, key: str) -> KeptSchema | None:
        found = self._kept.get((job_id, key))
        if found is not None:
            self._kept.move_to_end((job_id, key))
        return found

    def keep(self, job_id: str, schemas: Mapping[str, PartSchema]) -> None:
        for key, schema in schemas.items():
            digest = blake2b(_SORTED.encode(asked_for(schema)), digest_size=16).digest()
            self._kept[job_id, key] = KeptSchema(schema, digest)
        while len(self._kept) > MOST_SCHEMAS:
            self._kept.popitem(last=False)

    def forget(self, job_id: str, key: str) -> None:
        self._kept.pop((job_id, key), None)


@dataclass(frozen=True)
class FetcherContext:
    """Everything that the runs of a worker share.

    ``stopping`` is set when the worker is about to leave: runs then end after their page.
    ``schemas`` holds the schemas of the jobs under way.
    """

    database: Database
    producer: Producer
    runtimes: Mapping[str, Runtime]
    connectors: Mapping[str, Connector]
    http: Mapping[str, HttpClient]
    quota: Quota
    tokens: Tokens
    max_pages: int | None = None
    most_empty: int = MOST_EMPTY
    give_up_after_s: float = GIVE_UP_AFTER_S
    schemas: Schemas = field(default_factory=Schemas)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    queue: SlotQueue = field(default_factory=SlotQueue)
    circuits: Circuits = field(default_factory=Circuits)


@dataclass(kw_only=True)
class LaneRun:
    """One claim's work on a job that needs no provider: a purge."""

    job: Job
    source: Connection
    stopping: asyncio.Event
    queue: SlotQueue
    began: float
    page: int = 0
    told: float = 0.0

    def next_version(self) -> int:
        """Return the version of the items on the next page. Call it before the request is sent."""
        self.page += 1
        return self.version

    @property
    def version(self) -> int:
        """Return the version of the items on the current page."""
        return version(self.job.epoch, self.page)

    def worth_telling(self) -> bool:
        """Return True if ``TELL_S`` have passed since progress was last told.

        People cannot follow anything faster, and each message has to be relayed.
        """
        now = clock.monotonic()
        if now - self.told < TELL_S:
            return False
        self.told = now
        return True

    @property
    def over(self) -> bool:
        """Return True when the run's time is up. A run is shorter while others wait for a slot."""
        lasted = clock.monotonic() - self.began
        return lasted >= (SHORT_S if self.queue.waiting else RUN_S)

    @property
    def ends(self) -> bool:
        """Return True if the run has to end after this page."""
        return self.over or self.stopping.is_set()


@dataclass(kw_only=True)
class JobRun(LaneRun):
    """One claim's work on a job: the pages of the next ``RUN_S`` seconds.

    ``part`` is the part being read, ``failed`` the number of parts set aside since the last page.
    ``named`` has the keys of the schemas whose left-out fields the receipt names. ``last`` has the
    lane's last schemas, by their keys, if the connector remembers them.
    """

    connector: Connector
    runtime: Runtime
    call: ProviderCall
    part: WalkedPart | None = None
    failed: int = 0
    named: set[str] = field(default_factory=set)
    last: dict[str, PartSchema] = field(default_factory=dict)

    def remember(self, key: str, schema: PartSchema) -> bool:
        """Tell the connector of a schema that is now the last; return True if it differs."""
        told = asked_for(schema)
        if not isinstance(self.connector, RemembersSchemas) or self.last.get(key) == told:
            return False
        self.last = {**self.last, key: told}
        self.connector = self.connector.with_last(self.last)
        return True

    @property
    def completes(self) -> Completes | None:
        """Return the connector if its provider truncates objects, so that it can complete them."""
        return self.connector if isinstance(self.connector, Completes) else None

    @property
    def lists_deleted(self) -> ListsDeleted | None:
        """Return the connector if its provider lists what was deleted."""
        return self.connector if isinstance(self.connector, ListsDeleted) else None

    @property
    def leaves_out(self) -> LeavesOut | None:
        """Return the connector if it may leave out fields, so that the receipt can name them."""
        return self.connector if isinstance(self.connector, LeavesOut) else None


def open_lane_run(job: Job, source: Connection, context: FetcherContext) -> LaneRun:
    return LaneRun(
        job=job,
        source=source,
        stopping=context.stopping,
        queue=context.queue,
        began=clock.monotonic(),
    )


def open_run(
    job: Job, source: Connection, context: FetcherContext, *, last: dict[str, PartSchema]
) -> JobRun:
    runtime, connector = context.runtimes[source.provider], context.connectors[source.provider]
    if isinstance(connector, RemembersSchemas):
        connector = connector.with_last(last)
    call = ProviderCall(
        source,
        runtime,
        connector,
        http=context.http[source.provider],
        quota=context.quota,
        tokens=context.tokens,
        circuits=context.circuits,
    )
    return JobRun(
        job=job,
        source=source,
        connector=connector,
        last=last,
        runtime=runtime,
        call=call,
        stopping=context.stopping,
        queue=context.queue,
        began=clock.monotonic(),
    )
