"""Only one of several fetchers has a job, and one taken for dead can no longer write."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import update
from typing_extensions import override

from services.fetcher import store
from services.fetcher.context import FetcherContext
from services.fetcher.jobs import queries, transitions
from services.fetcher.jobs.queries import Job
from services.fetcher.reap import DEAD_AFTER_S, arrive, keep_alive, reap
from services.fetcher.tables import workers
from services.fetcher.tests.crashing import Crashes, Fetcher, Orchard, orchard_of
from services.fetcher.worker import Worker
from shared.connector import Call, Page, Place
from shared.contracts.items import parse_key
from shared.contracts.jobs import RunJob
from shared.contracts.topics import ITEMS, JOBS
from shared.db import Database, Schema
from tests.support.waiting import PATIENCE_S, turns, until

COUNTS = {f"fruit-{number}": 7 for number in range(12)}


class Watched(Orchard):
    """Note when two pages of a lane are asked for at once, and answer slowly."""

    def __init__(self, crashes: Crashes, counts: dict[str, int], chance: random.Random) -> None:
        super().__init__(crashes, counts)
        self._chance = chance
        self.open: Counter[str] = Counter()
        self.twice: list[str] = []

    @override
    async def page(self, call: Call, resource: str, place: Place) -> Page:
        self.open[resource] += 1
        if self.open[resource] > 1:
            self.twice.append(resource)
        try:
            await turns(self._chance.randrange(30))
            return await super().page(call, resource, place)
        finally:
            self.open[resource] -= 1


class Second:
    """A second fetcher on the tables of the first, with the same Kafka and provider."""

    def __init__(self, first: Fetcher) -> None:
        self.database = Database(first.place)
        self.context: FetcherContext = replace(
            first.context, database=self.database, stopping=asyncio.Event()
        )
        self.worker = Worker(self.context, slots=4)

    async def close(self) -> None:
        if self.worker.runs:
            await asyncio.wait(self.worker.runs)
        await self.database.close()


@pytest.fixture
async def fetcher(home: Path | Schema, chance: random.Random) -> AsyncIterator[Fetcher]:
    fetcher = Fetcher(home, COUNTS, provider=orchard_of(COUNTS, parallel=100))
    watched = Watched(fetcher.crashes, COUNTS, chance)
    fetcher.orchard = watched
    await fetcher.boot()
    yield fetcher
    await fetcher.settle()
    await fetcher.database.close()


@pytest.fixture
async def second(fetcher: Fetcher) -> AsyncIterator[Second]:
    second = Second(fetcher)
    await arrive(second.database, second.worker.id, alone=False)
    yield second
    await second.close()


def run_jobs(fetcher: Fetcher) -> list[RunJob]:
    """Return the messages that were sent and not yet delivered."""
    found = fetcher.log.of(JOBS)[fetcher.read :]
    fetcher.read += len(found)
    return [msgspec.json.decode(message.value or b"", type=RunJob) for message in found]


async def test_one_message_that_comes_to_many_is_one_claim(
    fetcher: Fetcher, second: Second, chance: random.Random
) -> None:
    await fetcher.connect(1)
    waiting = [job for job in await fetcher.unfinished() if job.state == "ready"]
    assert len(waiting) == len(COUNTS)

    async def claim(database: Database, job: Job, worker: str) -> Job | None:
        await turns(chance.randrange(10))
        async with database.write(lock=job.connection_id) as db:
            return await transitions.claim(
                db, job_id=job.id, dispatch=job.dispatch, worker_id=worker
            )

    for job in waiting:
        databases = (fetcher.database, second.database) * 5
        claims = await asyncio.gather(
            *(claim(one, job, f"worker-{n}") for n, one in enumerate(databases))
        )
        assert [bool(one) for one in claims].count(True) == 1
    held = await fetcher.unfinished()
    assert len({job.lane for job in held if job.state == "running" and job.epoch > 0}) == len(
        COUNTS
    )


async def deliver(
    coming: list[RunJob], workers: tuple[Fetcher, Second], chance: random.Random
) -> None:
    """Hand each message to either worker, in any order, all at once."""
    chance.shuffle(coming)
    takes = []
    for run_job in coming:
        taker = chance.choice(workers).worker
        takes.append(taker.take(run_job, connection_id="conn"))
    await asyncio.gather(*takes)


async def test_two_fetchers_never_work_on_one_lane_at_once(
    fetcher: Fetcher, second: Second, chance: random.Random
) -> None:
    """Messages come late, twice, to the wrong worker and again, and syncs overlap."""
    await fetcher.connect(1)
    await fetcher.run_until_over()  # later loads do not join a running one: they wait for its lane
    old: list[RunJob] = []
    for turn in range(60):
        if turn in {0, 2, 3, 5, 8, 9}:
            await fetcher.ask(f"again-{turn}")
        await fetcher.relay_once()
        fresh = run_jobs(fetcher)
        old += fresh
        await deliver([*fresh, *chance.sample(old, min(4, len(old)))], (fetcher, second), chance)
        if turn % 4 == 0:
            assert await reap(fetcher.database) == 0, "both live, so nothing is taken from either"
        if not await fetcher.unfinished():
            break
    await fetcher.settle()
    await asyncio.gather(*second.worker.runs)
    await fetcher.run_until_over()
    orchard = fetcher.orchard
    assert isinstance(orchard, Watched)
    assert orchard.twice == []
    assert {resource: len(ids) for resource, ids in fetcher.log.live_items().items()} == COUNTS
    assert {progress.state for progress in fetcher.newest_progress().values()} == {"done"}
    versions: dict[bytes, list[int]] = {}
    for message in fetcher.log.of(ITEMS):
        versions.setdefault(message.key, []).append(int(dict(message.headers)["version"]))
    assert all(len(sent) == 1 for sent in versions.values()), "the content never changed"


@pytest.mark.parametrize("held_at", ["provider", "kafka"])
async def test_a_worker_that_was_given_up_writes_nothing_more(
    fetcher: Fetcher, second: Second, held_at: str
) -> None:
    gate = asyncio.Event()
    fetcher.orchard.gate, fetcher.log.gate = (gate, None) if held_at == "provider" else (None, gate)
    await fetcher.connect(1, resources=("fruit-0",))
    await fetcher.relay_once()
    for run_job in run_jobs(fetcher):
        await fetcher.worker.take(run_job, connection_id="conn")
    (paused,) = [job for job in await fetcher.unfinished() if job.state == "running"]
    await until(lambda: bool(fetcher.orchard.asked))
    await given_up(fetcher, second)
    await fetcher.relay_once()
    fetcher.orchard.gate = fetcher.log.gate = None  # nothing holds up the second one
    for run_job in run_jobs(fetcher):
        await second.worker.take(run_job, connection_id="conn")
    await asyncio.gather(*second.worker.runs)
    before = await row(fetcher, paused.id)
    assert before.epoch > paused.epoch
    gate.set()
    await fetcher.settle()
    assert await row(fetcher, paused.id) == before
    await fetcher.run_until_over()
    done = await row(fetcher, paused.id)
    assert (done.outcome, done.items, done.receipt.read) == (
        "done",
        COUNTS["fruit-0"],
        COUNTS["fruit-0"],
    )
    assert len(fetcher.log.live_items()["fruit-0"]) == COUNTS["fruit-0"]
    if held_at == "provider":
        assert {int(dict(m.headers)["version"]) >> 20 for m in fetcher.log.of(ITEMS)} == {
            before.epoch
        }


async def test_a_worker_that_the_others_gave_up_is_told_and_a_live_one_is_not(
    fetcher: Fetcher, second: Second
) -> None:
    told: list[str] = []
    await given_up(fetcher, second)
    beating = asyncio.create_task(
        keep_alive(second.database, second.worker.id, died=lambda: told.append("second"))
    )
    async with asyncio.timeout(PATIENCE_S):
        await keep_alive(fetcher.database, fetcher.worker.id, died=lambda: told.append("first"))
    assert told == ["first"]
    async with fetcher.database.read() as db:
        assert await store.live_workers(db) == {second.worker.id}
    beating.cancel()
    await asyncio.wait([beating])


async def test_what_a_dead_fetcher_had_in_hand_goes_on_at_the_other(
    fetcher: Fetcher, second: Second
) -> None:
    fetcher.orchard.gate = asyncio.Event()
    await fetcher.connect(1)
    await fetcher.relay_once()
    for _ in range(4):  # as many as it has slots
        await fetcher.deliver()
    for task in fetcher.worker.runs:
        task.cancel()
    await fetcher.settle()
    await given_up(fetcher, second)
    fetcher.orchard.gate = None
    fetcher.worker = second.worker
    await fetcher.run_until_over()
    assert {resource: len(ids) for resource, ids in fetcher.log.live_items().items()} == COUNTS
    assert {parse_key(message.key).resource for message in fetcher.log.of(ITEMS)} == set(COUNTS)


async def given_up(fetcher: Fetcher, second: Second) -> None:
    """Let the first fetcher miss its heartbeats for too long, so that the second takes its jobs."""
    async with second.database.write() as db:
        mine = workers.c.id == fetcher.worker.id
        await db.execute(
            update(workers).where(mine).values(beat_at=workers.c.beat_at - DEAD_AFTER_S - 1)
        )
        await store.forget_workers(db, silent_s=DEAD_AFTER_S)
    await reap(second.database)


async def row(fetcher: Fetcher, id_: str) -> Job:
    async with fetcher.database.read() as db:
        found = await queries.get(db, id_)
    assert found is not None
    return found
