"""Hold a job run: the pages that a worker reads of a claimed job in one go."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from services.fetcher.call import ProviderCall
from services.fetcher.context import FetcherContext, SlotQueue
from services.fetcher.jobs.queries import Job
from services.fetcher.parts import WalkedPart
from services.fetcher.settings import Runtime
from shared import clock
from shared.connector import Connector
from shared.contracts.connections import Connection
from shared.contracts.items import version

RUN_S: Final = 5.0
"""A run begins no page after so long: the other jobs want a turn."""
TELL_S: Final = 0.3
"""Pages that follow faster than this are not told one by one."""
SHORT_S: Final = 0.5
"""The length of a run while others wait for a slot."""


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
        """Return the version of the items on the next page. Take it before the request is sent."""
        self.page += 1
        return self.version

    @property
    def version(self) -> int:
        """Return the version of the items on the present page."""
        return version(self.job.epoch, self.page)

    def worth_telling(self) -> bool:
        """Return whether ``TELL_S`` have passed since progress was last told.

        People cannot follow more, and each message costs a relay.
        """
        now = clock.monotonic()
        if now - self.told < TELL_S:
            return False
        self.told = now
        return True

    @property
    def over(self) -> bool:
        """Return whether the time is over. It is shorter while somebody waits for a slot."""
        lasted = clock.monotonic() - self.began
        return lasted >= (SHORT_S if self.queue.waiting else RUN_S)

    @property
    def ends(self) -> bool:
        """Return whether to stop at the next page border."""
        return self.over or self.stopping.is_set()


@dataclass(kw_only=True)
class JobRun(LaneRun):
    """One claim's work on a job: the pages of the next ``RUN_S`` seconds.

    ``part`` is the part under way, ``failed`` how many parts were set aside since the last page.
    """

    connector: Connector
    runtime: Runtime
    call: ProviderCall
    part: WalkedPart | None = None
    failed: int = 0


def open_lane_run(job: Job, source: Connection, context: FetcherContext) -> LaneRun:
    return LaneRun(
        job=job,
        source=source,
        stopping=context.stopping,
        queue=context.queue,
        began=clock.monotonic(),
    )


def open_run(job: Job, source: Connection, context: FetcherContext) -> JobRun:
    runtime, connector = context.runtimes[source.provider], context.connectors[source.provider]
    call = ProviderCall(
        source,
        runtime,
        connector,
        http=context.http[source.provider],
        quota=context.quota,
        tokens=context.tokens,
        learned=context.learned,
    )
    return JobRun(
        job=job,
        source=source,
        connector=connector,
        runtime=runtime,
        call=call,
        stopping=context.stopping,
        queue=context.queue,
        began=clock.monotonic(),
    )
