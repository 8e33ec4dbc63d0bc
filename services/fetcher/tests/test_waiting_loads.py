"""A waiting load leaves its lane to others, and continues at once when somebody asks for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.fetcher.jobs.queries import Job
from services.fetcher.plan import plan_retry, plan_sync
from services.fetcher.tests.crashing import Fetcher
from services.fetcher.tests.test_walks import apple, number_of
from shared import clock
from shared.connector import Cursor, Page, RetryLater
from shared.contracts.envelope import timestamp
from shared.contracts.syncs import RetrySync, SyncRequested
from shared.contracts.topics import ITEMS, JOBS
from shared.db import Schema
from tests.support.clock import MovableClock
from tests.support.waiting import turns

COUNTS = {"apples": 4}
LONG_S = 1800.0


class Away:
    """Four apples on four pages. ``error`` is raised at the third one while it is set."""

    def __init__(self, fetcher: Fetcher) -> None:
        self.error: RetryLater | None = RetryLater("Orchard is not available (status 503).")
        self.asked: list[int] = []
        fetcher.orchard.script["apples"] = self._page

    def _page(self, cursor: Cursor | None) -> Page:
        n = number_of(cursor)
        self.asked.append(n)
        if n == 2 and self.error is not None:
            raise self.error
        return Page(records=[apple(n)], cursor={"n": n + 1} if n < 3 else None)


@pytest.fixture
async def fetcher(movable_clock: MovableClock, home: Path | Schema) -> AsyncIterator[Fetcher]:
    fetcher = Fetcher(home, COUNTS)
    await fetcher.boot()
    fetcher.context.stopping.set()
    yield fetcher
    await fetcher.database.close()


@pytest.fixture
async def away(fetcher: Fetcher, movable_clock: MovableClock) -> Away:
    """Leave a load that waits for minutes before its third page."""
    away = Away(fetcher)
    await fetcher.connect(1)
    await at_work(fetcher)
    for _ in range(20):
        movable_clock.move(seconds=30)
        await at_work(fetcher)
    job = await only_load(fetcher)
    assert (job.state, job.pages) == ("waiting", 2)
    away.asked.clear()
    return away


async def at_work(fetcher: Fetcher) -> None:
    """Do everything that is due now."""
    for _ in range(20):
        await fetcher.relay_once()
        if fetcher.read == len(fetcher.log.of(JOBS)):
            return
        while fetcher.read < len(fetcher.log.of(JOBS)):
            await fetcher.deliver()
        await fetcher.settle()
        assert await fetcher.stranded() == []
    raise AssertionError("there is always something due")


async def only_load(fetcher: Fetcher) -> Job:
    (job,) = [job for job in await fetcher.all_jobs() if job.kind == "load"]
    return job


async def asked_in_background(fetcher: Fetcher, sync: str) -> None:
    request = SyncRequested(
        sync_id=sync, connection_id="conn", requested_at=timestamp(0), background=True
    )
    async with fetcher.database.write(lock="conn") as db:
        await plan_sync(db, request, providers={"orchard": fetcher.provider})


async def retry(fetcher: Fetcher, sync: str = "sync-1") -> None:
    async with fetcher.database.write(lock="conn") as db:
        await plan_retry(db, RetrySync(sync_id=sync, connection_id="conn"))


async def test_another_job_of_the_lane_runs_meanwhile_and_versions_order_them(
    fetcher: Fetcher, away: Away, movable_clock: MovableClock
) -> None:
    before = fetcher.log.live_items()["apples"]["apples-000"]
    await fetcher.refetch("apples", "apples-000")
    await at_work(fetcher)
    after = fetcher.log.live_items()["apples"]["apples-000"]
    assert after > before
    assert (await only_load(fetcher)).state == "waiting"
    away.error = None
    movable_clock.move(seconds=300)
    await at_work(fetcher)
    assert (await only_load(fetcher)).outcome == "done"
    live = fetcher.log.live_items()["apples"]
    assert live["apples-003"] > after
    assert away.asked == [2, 3], "no page was read again"


async def test_a_new_request_joins_what_waits_and_makes_it_due_now(
    fetcher: Fetcher, away: Away
) -> None:
    away.error = None
    await fetcher.ask("now")
    await at_work(fetcher)
    assert (await only_load(fetcher)).outcome == "done"
    assert away.asked == [2, 3]
    states = {sync: told.state for (sync, _), told in fetcher.newest_progress().items()}
    assert states == {"sync-1": "done", "now": "done"}


async def test_whoever_waits_hears_that_the_wait_is_over(fetcher: Fetcher, away: Away) -> None:
    await fetcher.ask("now")
    await fetcher.relay_once()
    states = {told.state for told in fetcher.newest_progress().values()}
    assert states == {"running"}
    assert await fetcher.stranded() == []


@pytest.mark.parametrize(
    "error",
    [
        RetryLater("Orchard is moving.", after_s=LONG_S),
        RetryLater("The limit is reached.", code="rate_limited", after_s=LONG_S, limit=True),
    ],
    ids=["Retry-After", "limit"],
)
async def test_a_request_waits_with_it_where_the_provider_asked_for_a_wait(
    fetcher: Fetcher, away: Away, movable_clock: MovableClock, error: RetryLater
) -> None:
    away.error = error
    movable_clock.move(seconds=300)
    await at_work(fetcher)
    until, away.error = clock.now() + LONG_S, None
    await fetcher.ask("now")
    await at_work(fetcher)
    assert away.asked == [2]
    assert (await only_load(fetcher)).state == "waiting"
    assert {told.state for told in fetcher.newest_progress().values()} == {"waiting"}
    movable_clock.move(seconds=until - clock.now() + 1)
    await at_work(fetcher)
    assert (await only_load(fetcher)).outcome == "done"


async def test_a_retry_makes_due_now_what_the_sync_waits_for(fetcher: Fetcher, away: Away) -> None:
    (told,) = fetcher.newest_progress().values()
    assert told.asked_to_wait_until is None
    await retry(fetcher)
    await at_work(fetcher)
    assert (await only_load(fetcher)).state == "waiting", "it is still away"
    away.error = None
    await retry(fetcher)
    await at_work(fetcher)
    assert (await only_load(fetcher)).outcome == "done"
    assert away.asked == [2, 2, 3]


@pytest.mark.parametrize("sync", ["sync-1", "another"])
async def test_a_retry_of_what_does_not_wait_changes_nothing(
    fetcher: Fetcher, away: Away, sync: str
) -> None:
    if sync == "sync-1":
        away.error = None
        await fetcher.ask("now")
        await at_work(fetcher)
    before = len(fetcher.log.messages)
    await retry(fetcher, sync)
    await at_work(fetcher)
    assert len(fetcher.log.messages) == before


async def test_a_retry_does_not_cut_short_what_the_provider_has_asked_for(
    fetcher: Fetcher, away: Away, movable_clock: MovableClock
) -> None:
    away.error = RetryLater("Orchard is moving.", after_s=LONG_S)
    movable_clock.move(seconds=300)
    earliest = clock.now() + LONG_S
    await at_work(fetcher)
    latest, away.error = clock.now() + LONG_S, None
    (told,) = fetcher.newest_progress().values()
    assert timestamp(earliest) <= (told.asked_to_wait_until or "") <= timestamp(latest)
    await retry(fetcher)
    await at_work(fetcher)
    assert away.asked == [2]
    movable_clock.move(seconds=LONG_S + 1)
    await at_work(fetcher)
    assert (await only_load(fetcher)).outcome == "done"
    (told,) = fetcher.newest_progress().values()
    assert told.asked_to_wait_until is None


async def test_what_waits_in_the_background_is_hurried_too_and_stays_there_no_longer(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    await fetcher.connect(1)
    await at_work(fetcher)
    away = Away(fetcher)
    await asked_in_background(fetcher, "nightly")
    for _ in range(10):
        await at_work(fetcher)
        movable_clock.move(seconds=30)
    (job,) = await fetcher.unfinished()
    assert (job.state, job.background) == ("waiting", True)
    away.error = None
    await fetcher.ask("now")
    (job,) = await fetcher.unfinished()
    assert (job.state, job.background) == ("ready", False)
    await at_work(fetcher)
    assert await fetcher.unfinished() == []


async def test_a_load_that_follows_never_takes_over_the_walk_of_one_that_waits(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    """The second load is requested while the first one reads, which then has to wait."""
    await fetcher.connect(1)
    await at_work(fetcher)
    away = Away(fetcher)
    await fetcher.ask("first")
    for _ in range(2):  # one page a run
        await fetcher.relay_once()
        await fetcher.deliver()
        await fetcher.settle()
    (first,) = await fetcher.unfinished()
    assert (first.state, first.pages) == ("ready", 2)
    await fetcher.ask("second")
    await at_work(fetcher)
    assert sorted(job.state for job in await fetcher.unfinished()) == ["awaiting_lane", "waiting"]
    await fetcher.refetch("apples", "apples-000")
    await at_work(fetcher)
    assert len(await fetcher.unfinished()) == 2
    away.error = None
    away.asked.clear()
    movable_clock.move(seconds=300)
    await at_work(fetcher)
    assert await fetcher.unfinished() == []
    assert away.asked == [2, 3, 0, 1, 2, 3]
    assert {told.state for told in fetcher.newest_progress().values()} == {"done"}


async def test_what_is_disconnected_while_it_waits_is_deleted_at_once(
    fetcher: Fetcher, away: Away
) -> None:
    await fetcher.connect(2, status="disconnected")
    await at_work(fetcher)
    assert fetcher.log.live_items() == {"apples": {}}
    assert await fetcher.unfinished() == []
    await turns()
    assert fetcher.sent(ITEMS)["apples-000"] == [True, False]
