"""A lane has one job at a time, through joins, disconnects, deaths and lost databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import update
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher import store
from services.fetcher.jobs import queries, transitions
from services.fetcher.plan import UNKNOWN_CONNECTION_S, plan_refetch
from services.fetcher.reap import DEAD_AFTER_S, FORGOTTEN_AFTER_S, give_up_late, leave, reap
from services.fetcher.tables import jobs as rows
from services.fetcher.tables import unclaimed, workers
from services.fetcher.tests.crashing import PROVIDER, Fetcher
from shared.contracts.jobs import RunJob
from shared.contracts.progress import JobProgress
from shared.contracts.syncs import RefetchItems
from shared.contracts.topics import ITEMS, JOBS, PROGRESS
from shared.db import Database, Schema
from tests.support.waiting import turns, until

COUNTS = {"apples": 6, "pears": 2}


@pytest.fixture
async def fetcher(home: Path | Schema) -> AsyncIterator[Fetcher]:
    fetcher = Fetcher(home, COUNTS)
    await fetcher.boot()
    yield fetcher
    await fetcher.database.close()


async def deliver_all(fetcher: Fetcher) -> None:
    await fetcher.relay_once()
    while fetcher.read < len(fetcher.log.of(JOBS)):
        await fetcher.deliver()


async def until_asked(fetcher: Fetcher, times: int) -> None:
    await until(lambda: len(fetcher.orchard.asked) >= times, every=0)


def told(fetcher: Fetcher, sync: str) -> list[JobProgress]:
    decoded = [
        msgspec.json.decode(m.value or b"", type=JobProgress) for m in fetcher.log.of(PROGRESS)
    ]
    return [progress for progress in decoded if progress.sync_id == sync]


async def test_a_disconnect_deletes_the_items_of_a_provider_whose_folder_is_gone(
    fetcher: Fetcher,
) -> None:
    await fetcher.connect(1)
    await fetcher.run_until_over()
    assert fetcher.log.live_items()["apples"]
    object.__setattr__(fetcher.context, "runtimes", {})
    object.__setattr__(fetcher.context, "connectors", {})
    await fetcher.connect(2, installed=False)
    await fetcher.relay_once()
    errors = [one.error for one in told(fetcher, "sync-2")]
    assert {error.code for error in errors if error} == {"provider_unknown"}
    await fetcher.connect(3, status="disconnected", installed=False)
    await fetcher.run_until_over()
    assert fetcher.log.live_items() == {"apples": {}, "pears": {}}


@pytest.mark.parametrize("on_its_way", ["from the provider", "to Kafka"])
async def test_a_disconnect_while_a_page_is_on_its_way_leaves_no_item_behind(
    fetcher: Fetcher, on_its_way: str
) -> None:
    gate = asyncio.Event()
    if on_its_way == "to Kafka":
        fetcher.log.gate = gate
    else:
        fetcher.orchard.gate = gate
    await fetcher.connect(1)
    await deliver_all(fetcher)
    await until_asked(fetcher, 2)
    await turns(20)
    await fetcher.connect(2, status="disconnected")
    await deliver_all(fetcher)
    await turns(20)
    gate.set()
    await fetcher.settle()
    assert await fetcher.stranded() == []
    await fetcher.run_until_over()
    assert fetcher.log.live_items() == {"apples": {}, "pears": {}}
    last = {message.key: message.value for message in fetcher.log.of(ITEMS)}
    assert last
    assert set(last.values()) == {None}
    assert {job.error.code for job in await fetcher.all_jobs() if job.error} == {"disconnected"}


async def test_a_disconnect_ends_what_is_parked_at_once(fetcher: Fetcher) -> None:
    await fetcher.connect(1)
    await fetcher.connect(2, status="disconnected")
    loads = [job for job in await fetcher.all_jobs() if job.kind == "load"]
    assert {job.outcome for job in loads} == {"failed"}


async def test_who_comes_back_while_the_old_items_are_deleted_finds_all_of_them_again(
    fetcher: Fetcher,
) -> None:
    await fetcher.connect(1)
    await fetcher.run_until_over()
    await fetcher.connect(2, status="disconnected")
    await fetcher.connect(3, generation=2)
    # They arrive the other way round. If the purge ran last, it would delete what was just loaded.
    await fetcher.relay_once()
    waiting = [
        msgspec.json.decode(m.value or b"", type=RunJob)
        for m in fetcher.log.of(JOBS)[fetcher.read :]
    ]
    for run_job in reversed(waiting):
        await fetcher.worker.take(run_job, connection_id="conn")
    fetcher.read += len(waiting)
    await fetcher.settle()
    assert await fetcher.stranded() == []
    await fetcher.run_until_over()
    assert {resource: len(ids) for resource, ids in fetcher.log.live_items().items()} == COUNTS


async def test_a_disconnect_that_compaction_swallowed_is_seen_from_the_generation(
    fetcher: Fetcher,
) -> None:
    await fetcher.connect(1)
    await fetcher.run_until_over()
    since = len(fetcher.log.messages)
    fetcher.orchard.ids["apples"].pop()
    await fetcher.connect(5, generation=3)
    await fetcher.run_until_over()
    assert set(map(tuple, fetcher.sent(ITEMS, since).values())) == {(False, True), (False,)}
    assert len(fetcher.log.live_items()["apples"]) == 5


async def test_a_first_event_that_compaction_swallowed_still_starts_its_sync_and_only_once(
    fetcher: Fetcher,
) -> None:
    await fetcher.connect(2, sync="sync-1")
    await fetcher.connect(3, sync="sync-1")
    assert len(await fetcher.all_jobs()) == 2
    await fetcher.run_until_over()
    assert {progress.state for progress in fetcher.newest_progress().values()} == {"done"}


@pytest.mark.parametrize("dies_at", range(3, 15))
async def test_an_item_that_was_sent_before_a_crash_and_is_gone_after_it_is_deleted(
    fetcher: Fetcher, dies_at: int
) -> None:
    await fetcher.connect(1)
    await fetcher.relay_once()
    fetcher.crashes.left = dies_at
    await fetcher.attempt(deliver_all(fetcher))
    await fetcher.attempt(fetcher.settle())
    fetcher.crashes.left = None
    del fetcher.orchard.ids["apples"][0]
    await fetcher.run_until_over()
    # The next load deletes what is gone now. It can do so only if it knows what was sent but never
    # recorded.
    await fetcher.ask("next")
    await fetcher.run_until_over()
    assert sorted(fetcher.log.live_items()["apples"]) == fetcher.orchard.ids["apples"]


async def test_a_sync_joins_a_job_that_has_not_begun(fetcher: Fetcher) -> None:
    await fetcher.connect(1)
    await fetcher.run_until_over()
    await fetcher.ask("one")
    await fetcher.ask("two")
    await fetcher.run_until_over()
    assert len(await fetcher.all_jobs()) == 4
    newest = fetcher.newest_progress()
    assert {newest[sync, resource].state for sync in ("one", "two") for resource in COUNTS} == {
        "done"
    }


async def test_a_sync_that_joins_a_running_first_load_hears_its_end(fetcher: Fetcher) -> None:
    fetcher.orchard.size = 100
    fetcher.orchard.gate = asyncio.Event()
    await fetcher.connect(1)
    await deliver_all(fetcher)
    await until_asked(fetcher, 2)
    await fetcher.ask("late")
    fetcher.orchard.gate.set()
    await fetcher.settle()
    await fetcher.run_until_over()
    assert len(await fetcher.all_jobs()) == 2
    for resource in COUNTS:
        heard = [progress for progress in told(fetcher, "late") if progress.resource == resource]
        steps = [progress.step for progress in heard]
        assert steps == sorted(set(steps)), (
            "two events of one step: a reader who takes the newest may miss the end"
        )
        assert heard[-1].state == "done"


async def test_a_sync_does_not_join_a_later_load_that_is_under_way(fetcher: Fetcher) -> None:
    await fetcher.connect(1)
    await fetcher.run_until_over()
    fetcher.orchard.gate = asyncio.Event()
    await fetcher.ask("one")
    await deliver_all(fetcher)
    await until_asked(
        fetcher, len(fetcher.orchard.asked) + 2 if fetcher.orchard.asked[-1][1] is not None else 2
    )
    await fetcher.ask("two")
    assert len(await fetcher.all_jobs()) == 6
    fetcher.orchard.gate.set()
    await fetcher.settle()
    await fetcher.run_until_over()
    assert {progress.state for progress in fetcher.newest_progress().values()} == {"done"}


async def test_a_request_for_an_unknown_connection_waits_and_is_given_up_in_words(
    fetcher: Fetcher,
) -> None:
    await fetcher.ask("early", connection="nobody")
    await give_up_late(fetcher.database)
    assert await fetcher.all_jobs() == []
    async with fetcher.database.write() as db:
        await db.execute(
            update(unclaimed).values(expires_at=unclaimed.c.expires_at - UNKNOWN_CONNECTION_S - 1)
        )
    await give_up_late(fetcher.database)
    await fetcher.relay_once()
    (heard,) = told(fetcher, "early")
    assert (heard.state, heard.error.code if heard.error else None) == (
        "failed",
        "unknown_connection",
    )
    await fetcher.ask("early", connection="nobody")
    async with fetcher.database.write() as db:
        assert await store.take_put_aside(db, "nobody") == []


async def test_a_request_that_came_before_its_connection_is_done_when_it_comes(
    fetcher: Fetcher,
) -> None:
    await fetcher.ask("early")
    await fetcher.connect(1)
    await fetcher.run_until_over()
    assert {progress.state for progress in told(fetcher, "early")} >= {"done"}


async def test_the_jobs_of_a_dead_worker_go_on_and_those_of_a_live_one_are_left_alone(
    fetcher: Fetcher,
) -> None:
    await fetcher.connect(1)
    async with fetcher.database.write() as db:
        await store.arrive(db, "other")
        for job in await queries.find(db):
            assert await transitions.claim(db, job_id=job.id, dispatch=1, worker_id="other")
        await store.forget_workers(db, silent_s=DEAD_AFTER_S)
    assert await reap(fetcher.database) == 0
    async with fetcher.database.write() as db:
        await db.execute(
            update(workers)
            .where(workers.c.id == "other")
            .values(beat_at=workers.c.beat_at - DEAD_AFTER_S - 1)
        )
        await store.forget_workers(db, silent_s=DEAD_AFTER_S)
        assert not await store.beat(db, "other")
    assert await reap(fetcher.database) == 2
    assert await fetcher.stranded() == []
    await fetcher.run_until_over()
    assert {progress.state for progress in fetcher.newest_progress().values()} == {"done"}


async def test_a_message_that_got_lost_is_sent_again(fetcher: Fetcher) -> None:
    await fetcher.connect(1)
    await fetcher.relay_once()
    fetcher.read = len(fetcher.log.of(JOBS))
    assert await reap(fetcher.database) == 0
    async with fetcher.database.write() as db:
        await db.execute(update(rows).values(changed_at=rows.c.changed_at - FORGOTTEN_AFTER_S - 1))
    assert await reap(fetcher.database) == 2
    await fetcher.run_until_over()


async def test_a_worker_that_leaves_cuts_off_what_hangs_and_gives_it_back(fetcher: Fetcher) -> None:
    fetcher.orchard.gate = asyncio.Event()
    await fetcher.connect(1)
    await deliver_all(fetcher)
    await until_asked(fetcher, 2)
    await fetcher.worker.stop()
    await leave(fetcher.database, fetcher.worker.id)
    assert {job.state for job in await fetcher.unfinished()} == {"ready"}
    assert await fetcher.stranded() == []


class Failing:
    """A database whose first ``times`` writes fail."""

    def __init__(self, database: Database, times: int) -> None:
        self._database, self.left = database, times

    @asynccontextmanager
    async def write(self, lock: str | None = None) -> AsyncIterator[AsyncConnection]:
        if self.left > 0:
            self.left -= 1
            raise OperationalError("update", {}, Exception("the disk is away"))
        async with self._database.write(lock) as db:
            yield db

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


async def test_a_database_that_is_away_costs_no_job_and_no_item(fetcher: Fetcher) -> None:
    await fetcher.connect(1)
    await deliver_all(fetcher)
    object.__setattr__(fetcher.context, "database", Failing(fetcher.database, times=3))
    await fetcher.settle()
    assert await fetcher.stranded() == []
    assert {job.attempts for job in await fetcher.all_jobs()} == {0}
    await fetcher.run_until_over()
    assert {resource: len(ids) for resource, ids in fetcher.log.live_items().items()} == COUNTS


async def test_items_read_again_are_sent_anew_and_those_that_are_gone_are_deleted(
    fetcher: Fetcher,
) -> None:
    await fetcher.connect(1)
    await fetcher.run_until_over()
    before, since = fetcher.log.live_items()["apples"], len(fetcher.log.messages)
    lost = fetcher.orchard.ids["apples"].pop(1)
    kept = fetcher.orchard.ids["apples"][0]
    async with fetcher.database.write() as db:
        for connection, resource in (("conn", "apples"), ("conn", "plums"), ("nobody", "apples")):
            request = RefetchItems(
                connection_id=connection,
                resource=resource,
                ids=(kept, lost, kept),
                highest_version=0,
            )
            await plan_refetch(db, request, providers={"orchard": PROVIDER})
    await fetcher.run_until_over()
    assert fetcher.sent(ITEMS, since) == {kept: [True], lost: [False]}
    assert fetcher.log.live_items()["apples"][kept] > before[kept]
    (job,) = [job for job in await fetcher.all_jobs() if job.kind == "refetch"]
    assert (job.outcome, job.receipt.emitted, job.receipt.deleted) == ("done", 1, 1)
