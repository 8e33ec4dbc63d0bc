"""What a slice of work is done with, and for whom."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher.call import Learned, ProviderCall
from services.fetcher.job import Job
from services.fetcher.settings import Runtime
from services.fetcher.tokens import Tokens
from shared.connector import Connector
from shared.contracts.connections import Connection
from shared.contracts.items import version
from shared.db import Database
from shared.http import HttpClient
from shared.kafka import Producer
from shared.quota import Quota

TELL_S = 0.3
SHORT_S = 0.5
"""How long a slice lasts at most, of the pages it has begun, while others wait for a slot."""


@dataclass
class Queue:
    """How many wake-ups wait for a slot."""

    waiting: int = 0


@dataclass(frozen=True)
class Tools:
    """Shared by all slices of a worker. ``stopping`` is set when the worker wants to leave at the next page border.

    ``learned`` holds the limits that the providers' answers told of.
    """

    database: Database
    producer: Producer
    runtimes: Mapping[str, Runtime]
    connectors: Mapping[str, Connector]
    http: Mapping[str, HttpClient]
    quota: Quota
    tokens: Tokens
    max_pages: int | None = None
    learned: Learned = field(default_factory=dict)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    queue: Queue = field(default_factory=Queue)

    def write(self, job: Job) -> AbstractAsyncContextManager[AsyncConnection]:
        """A transaction that may change the job."""
        return self.database.write(lock=job.connection)


@dataclass
class Slice:
    """One claim's work on a job: the pages of the next ``seconds``."""

    job: Job
    source: Connection
    connector: Connector
    runtime: Runtime
    call: ProviderCall
    began: float
    seconds: float
    queue: Queue
    page: int = 0
    told: float = 0.0

    def next_version(self) -> int:
        """The version of what the next page brings, taken when its request is sent."""
        self.page += 1
        return version(self.job.epoch, self.page)

    def worth_telling(self) -> bool:
        """Whether the last page told of lies ``TELL_S`` back: people cannot follow more, and each costs a relay."""
        now = asyncio.get_running_loop().time()
        if now - self.told < TELL_S:
            return False
        self.told = now
        return True

    @property
    def over(self) -> bool:
        """Whether the next page border is the end: sooner, when somebody waits for a slot."""
        lasted = asyncio.get_running_loop().time() - self.began
        return lasted >= (min(self.seconds, SHORT_S) if self.queue.waiting else self.seconds)


def open_slice(job: Job, source: Connection, tools: Tools, *, seconds: float) -> Slice:
    runtime, connector = tools.runtimes[source.provider], tools.connectors[source.provider]
    call = ProviderCall(
        source,
        runtime,
        connector,
        http=tools.http[source.provider],
        quota=tools.quota,
        tokens=tools.tokens,
        learned=tools.learned,
    )
    return Slice(
        job=job,
        source=source,
        connector=connector,
        runtime=runtime,
        call=call,
        began=asyncio.get_running_loop().time(),
        seconds=seconds,
        queue=tools.queue,
    )
