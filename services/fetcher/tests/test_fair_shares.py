"""No connection takes more than its share, and neither does work in the background."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from services.fetcher import store
from services.fetcher.context import SHORT_S
from services.fetcher.jobs.queries import Job, new_job, run_job
from services.fetcher.plan import plan_connection, plan_refetch, plan_sync
from services.fetcher.tests.crashing import Fetcher, orchard_of
from services.fetcher.worker import Worker
from shared.connector import Cursor, Page, Record, RetryLater
from shared.contracts.envelope import timestamp
from shared.contracts.jobs import RunJob
from shared.contracts.syncs import RefetchItems, SyncRequested
from shared.contracts.topics import BACKGROUND_JOBS, ITEMS, JOBS
from shared.db import Schema
from tests.support.clock import MovableClock
from tests.support.variations import variations
from tests.support.waiting import until

TREES = {f"tree-{number:02}": 7 for number in range(50)}
FEW = {"apples": 9, "pears": 2}
AT_ONCE = 4


@pytest.fixture
async def large(home: Path | Schema) -> AsyncIterator[Fetcher]:
    fetcher = Fetcher(home, TREES, provider=orchard_of(TREES, parallel=AT_ONCE))
    await fetcher.boot()
    yield fetcher
    await fetcher.settle()
    await fetcher.database.close()


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Fetcher]:
    fetcher = Fetcher(tmp_path, FEW)
    await fetcher.boot()
    yield fetcher
    await fetcher.settle()
    await fetcher.database.close()


async def by_state(fetcher: Fetcher) -> dict[str, list[Job]]:
    found: dict[str, list[Job]] = {"ready": [], "running": [], "awaiting_slot": []}
    for job in await fetcher.unfinished():
        found.setdefault(job.state, []).append(job)
    return found


def dispatched(states: dict[str, list[Job]]) -> int:
    return len(states["running"]) + len(states["ready"])


@pytest.mark.parametrize("attempt", [0, *variations(1, 2)])
async def test_of_fifty_jobs_of_a_connection_only_so_many_are_out_whatever_happens(
    large: Fetcher, chance: random.Random, attempt: int
) -> None:
    large.orchard.size = chance.choice((2, 3, 7))
    await large.connect(1)
    for turn in range(30):
        states = await by_state(large)
        assert dispatched(states) <= AT_ONCE
        assert dispatched(states) == AT_ONCE or not states["awaiting_slot"], (
            "nobody waits while a slot is free"
        )
        assert await large.stranded() == []
        match chance.choice(("relay", "deliver", "deliver", "settle", "repeat", "die", "ask")):
            case "relay":
                await large.relay_once()
            case "deliver" | "repeat" as how:
                await large.deliver(commit=how == "deliver")
            case "settle":
                await large.settle()
            case "die":
                await large.kill()
                await large.boot()
            case "ask":
                await large.ask(f"again-{turn}")
    await large.run_until_over()
    assert {resource: len(ids) for resource, ids in large.log.live_items().items()} == TREES
    assert {progress.state for progress in large.newest_progress().values()} == {"done"}


async def test_who_was_served_longest_ago_is_next(large: Fetcher) -> None:
    """Runs end after their first page: all fifty get a turn before any of them gets two."""
    large.context.stopping.set()
    await large.connect(1)
    for _ in range(40):
        await large.relay_once()
        while large.read < len(large.log.of(JOBS)):
            await large.deliver()
        await large.settle()
    served = dict.fromkeys(TREES, 0)
    # A page is asked for again if the database was too busy to record it.
    asked = {(resource, str(cursor)): resource for resource, cursor in large.orchard.asked}
    for number, resource in enumerate(asked.values(), 1):
        served[resource] += 1
        if number == len(TREES):
            late = [tree for tree, times in served.items() if times == 0]
            assert len(late) < AT_ONCE, "those under way have not asked yet"
        if number < 3 * len(TREES) - AT_ONCE:
            assert max(served.values()) - min(served.values()) <= 2, (
                "jobs dispatched at once come in any order"
            )
    assert set(served.values()) == {3}


async def test_one_that_waits_until_a_time_gives_its_place_to_another(large: Fetcher) -> None:
    def told_to_wait(_: Cursor | None) -> Page:
        raise RetryLater("Come back later.", after_s=600.0)

    first = list(TREES)[:AT_ONCE]
    large.orchard.script = dict.fromkeys(first, told_to_wait)
    await large.connect(1)
    for _ in range(3):
        await large.relay_once()
        while large.read < len(large.log.of(JOBS)):
            await large.deliver()
        await large.settle()
    deferred = [job for job in await large.unfinished() if job.state == "waiting"]
    assert {job.resource for job in deferred} == set(first)
    assert any(job.pages for job in await large.all_jobs())
    large.orchard.script = {}
    await large.run_until_over()
    assert {resource: len(ids) for resource, ids in large.log.live_items().items()} == TREES


async def test_the_connections_do_not_wait_for_one_another(large: Fetcher) -> None:
    await large.connect(1)
    async with large.database.write(lock="other") as db:
        known = await store.connection(db, "conn")
        assert known is not None
        other = msgspec.structs.replace(known, id="other", sync_id="sync-of-other")
        await plan_connection(db, other, providers={"orchard": large.provider})
    jobs = [job for job in await large.unfinished() if job.connection_id == "other"]
    assert [job.state for job in jobs].count("ready") == AT_ONCE


async def test_what_nobody_waits_for_goes_to_the_topic_of_the_background(small: Fetcher) -> None:
    await small.connect(1)
    assert await topics_of(small) == {"load": {JOBS}}
    await small.run_until_over()
    providers = {"orchard": small.provider}
    request = SyncRequested(
        sync_id="nightly", connection_id="conn", requested_at=timestamp(0), background=True
    )
    async with small.database.write(lock="conn") as db:
        await plan_sync(db, request, providers=providers)
        await plan_refetch(
            db,
            RefetchItems(
                connection_id="conn", resource="apples", ids=("apples-000",), highest_version=0
            ),
            providers=providers,
        )
    assert await topics_of(small) == {"load": {BACKGROUND_JOBS}, "refetch": {BACKGROUND_JOBS}}
    await small.run_until_over()
    await small.connect(2, status="disconnected")
    assert await topics_of(small) == {"purge": {BACKGROUND_JOBS}}
    await small.run_until_over()
    assert small.log.live_items() == {"apples": {}, "pears": {}}


async def topics_of(fetcher: Fetcher) -> dict[str, set[str]]:
    """Return kind of job → the topics of its ``RunJob``s, for jobs under way."""
    found: dict[str, set[str]] = {}
    for job in await fetcher.unfinished():
        found.setdefault(job.kind, set()).add(run_job(job).topic)
    return found


async def test_a_load_that_somebody_waits_for_does_not_join_one_in_the_background(
    small: Fetcher,
) -> None:
    await small.connect(1)
    await small.run_until_over()
    for sync, background in (
        ("nightly", True),
        ("nightly-2", True),
        ("asked", False),
        ("asked-2", False),
    ):
        request = SyncRequested(
            sync_id=sync, connection_id="conn", requested_at=timestamp(0), background=background
        )
        async with small.database.write(lock="conn") as db:
            await plan_sync(db, request, providers={"orchard": small.provider})
    under_way = await small.unfinished()
    assert sorted((job.resource, job.background) for job in under_way) == [
        (resource, background) for resource in FEW for background in (False, True)
    ]
    await small.run_until_over()
    newest = small.newest_progress()
    assert {newest[sync, resource].state for sync, resource in newest} == {"done"}
    assert {sync for sync, _ in newest} >= {"nightly", "nightly-2", "asked", "asked-2"}


@pytest.fixture
async def held(tmp_path: Path) -> AsyncIterator[tuple[Fetcher, Worker]]:
    """Twenty lanes of a provider that does not answer, and a worker with eight slots."""
    fetcher = Fetcher(tmp_path, TREES, provider=orchard_of(TREES, parallel=100))
    await fetcher.boot()
    fetcher.orchard.gate = asyncio.Event()
    worker = Worker(fetcher.context, slots=8)
    await fetcher.connect(1)
    yield fetcher, worker
    fetcher.orchard.gate.set()
    await asyncio.gather(*worker.runs)
    await fetcher.database.close()


async def test_background_work_has_a_quarter_of_the_slots_at_most(
    held: tuple[Fetcher, Worker],
) -> None:
    fetcher, worker = held
    jobs = await fetcher.unfinished()
    behind = [asyncio.create_task(take(worker, job, background=True)) for job in jobs[:5]]
    await until(lambda: worker.busy == 2)
    for job in jobs[10:16]:  # behind all five
        await take(worker, job)
    assert [task.done() for task in behind].count(True) == 2
    assert worker.busy == 8
    assert fetcher.orchard.gate is not None
    fetcher.orchard.gate.set()
    await asyncio.gather(*behind)


async def test_waiting_background_work_does_not_shorten_the_runs_of_others(
    held: tuple[Fetcher, Worker],
) -> None:
    fetcher, worker = held
    jobs = await fetcher.unfinished()
    behind = [asyncio.create_task(take(worker, job, background=True)) for job in jobs[:4]]
    await until(lambda: worker.busy == 2)
    await take(worker, jobs[10])  # behind all four
    assert fetcher.context.queue.waiting == 0
    assert fetcher.orchard.gate is not None
    fetcher.orchard.gate.set()
    await asyncio.gather(*behind)


async def test_a_run_ends_at_its_next_page_border_when_somebody_waits_for_a_slot(
    tmp_path: Path, movable_clock: MovableClock
) -> None:
    fetcher = Fetcher(tmp_path, {"apples": 0, "pears": 2})
    await fetcher.boot()
    await fetcher.connect(1)
    worker = Worker(fetcher.context, slots=1)
    apples, pears = sorted(await fetcher.unfinished(), key=lambda job: job.resource)

    def endless(cursor: Cursor | None) -> Page:
        number = cursor["n"] + 1 if cursor else 0
        return Page(records=[Record(id=f"{number}", name="", raw={})], cursor={"n": number})

    fetcher.orchard.script = {"apples": endless}
    await take(worker, apples)
    await until(lambda: asked_for_apples(fetcher) > 0)
    movable_clock.move(seconds=2 * SHORT_S)
    goes_on = asked_for_apples(fetcher) + 3
    await until(lambda: asked_for_apples(fetcher) >= goes_on)  # nobody waits
    taking = asyncio.create_task(take(worker, pears))
    await until(lambda: fetcher.context.queue.waiting, every=0)
    before = asked_for_apples(fetcher)
    await taking
    assert asked_for_apples(fetcher) <= before + 2, "the page under way, and one that had begun"
    (left,) = [job for job in await fetcher.unfinished() if job.resource == "apples"]
    assert left.state == "ready"
    assert left.pages > 1
    await asyncio.gather(*worker.runs)
    await fetcher.database.close()


async def test_a_read_that_comes_after_the_disconnect_deletes_again(home: Path | Schema) -> None:
    fetcher = Fetcher(home, FEW)
    await fetcher.boot()
    await fetcher.connect(1)
    await fetcher.run_until_over()
    await fetcher.connect(2, status="disconnected")
    await fetcher.run_until_over()
    since = len(fetcher.log.messages)
    request = RefetchItems(
        connection_id="conn",
        resource="apples",
        ids=("apples-001", "apples-zombie"),
        highest_version=0,
    )
    async with fetcher.database.write(lock="conn") as db:
        await plan_refetch(db, request, providers={"orchard": fetcher.provider})
    await fetcher.run_until_over()
    assert fetcher.sent(ITEMS, since) == {"apples-001": [False], "apples-zombie": [False]}
    await fetcher.database.close()


def asked_for_apples(fetcher: Fetcher) -> int:
    return [resource for resource, _ in fetcher.orchard.asked].count("apples")


async def take(worker: Worker, job: Job, *, background: bool = False) -> None:
    await worker.take(
        RunJob(job_id=job.id, dispatch=job.dispatch),
        connection_id=job.connection_id,
        background=background,
    )


def test_what_is_read_again_or_purged_is_background_work() -> None:
    kinds = {
        kind: new_job("c", "r", 1, kind=kind).background for kind in ("load", "refetch", "purge")
    }
    assert kinds == {"load": False, "refetch": True, "purge": True}
