"""A job that waited and then finds no slot counts like any other when it gets one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import delete, select, update

from services.fetcher.jobs.queries import get, new_job
from services.fetcher.jobs.transitions import claim, create, wake_next
from services.fetcher.tables import jobs as rows
from services.fetcher.tables import outbox
from services.fetcher.tests.crashing import Fetcher, orchard_of
from shared.contracts.progress import JobProgress
from shared.contracts.topics import PROGRESS

NAMES = ("a", "b", "c", "d")


@pytest.fixture
async def fetcher(tmp_path: Path) -> AsyncIterator[Fetcher]:
    counts = dict.fromkeys(NAMES, 1)
    fetcher = Fetcher(tmp_path, counts, provider=orchard_of(counts, parallel=1))
    await fetcher.boot()
    await fetcher.connect(1, status="reauth_required")
    yield fetcher
    await fetcher.kill()


async def test_one_place_that_is_free_wakes_one_of_those_that_had_waited(fetcher: Fetcher) -> None:
    made = [new_job("conn", name, 1) for name in NAMES]
    async with fetcher.database.write(lock="conn") as db:
        for job in made:
            await create(db, job)
        assert await claim(db, job_id=made[0].id, dispatch=1, worker_id="w") is not None
        waited = rows.c.id.in_([job.id for job in made[1:]])
        await db.execute(
            update(rows)
            .where(waited)
            .values(state="waiting", waiting_until=0.0, waiting_reason="limit")
        )
        for job in made[1:]:
            assert await claim(db, job_id=job.id, dispatch=1, worker_id="w") is None
        await db.execute(
            update(rows).where(rows.c.id == made[0].id).values(state="over", outcome="done")
        )
        await wake_next(db, "conn")
        states = sorted([found.state for job in made[1:] if (found := await get(db, job.id))])
    assert states == ["awaiting_slot", "awaiting_slot", "ready"]


async def test_a_wait_that_ends_in_a_line_is_not_shown_any_more(fetcher: Fetcher) -> None:
    first, second = new_job("conn", "a", 1), new_job("conn", "b", 1)
    async with fetcher.database.write(lock="conn") as db:
        await create(db, first, second, syncs=("s",))
        assert await claim(db, job_id=first.id, dispatch=1, worker_id="w") is not None
        waiting = rows.c.id == second.id
        await db.execute(
            update(rows)
            .where(waiting)
            .values(state="waiting", waiting_until=0.0, waiting_reason="limit")
        )
        await db.execute(delete(outbox))
        assert await claim(db, job_id=second.id, dispatch=1, worker_id="w") is None
        sent = (
            (await db.execute(select(outbox.c.value).where(outbox.c.topic == PROGRESS)))
            .scalars()
            .all()
        )
        (told,) = [msgspec.json.decode(value, type=JobProgress) for value in sent]
        found = await get(db, second.id)
    assert (told.job_id, told.state, told.waiting_until) == (second.id, "queued", None)
    assert found is not None
    assert told.step == found.step
