"""A job that was parked and then finds no turn counts like any other when it is woken."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import update

from services.fetcher import turns
from services.fetcher.job import new_job
from services.fetcher.jobs import add, claim, get
from services.fetcher.tables import jobs as rows
from services.fetcher.tests.crashing import Fetcher, orchard_of

NAMES = ("a", "b", "c", "d")


@pytest.fixture
async def fetcher(tmp_path: Path) -> AsyncIterator[Fetcher]:
    counts = dict.fromkeys(NAMES, 1)
    fetcher = Fetcher(tmp_path, counts, provider=orchard_of(counts, parallel=1))
    await fetcher.boot()
    await fetcher.connect(1, status="reauth_required")
    yield fetcher
    await fetcher.kill()


async def test_one_place_that_is_free_wakes_one_of_those_that_had_been_parked(fetcher: Fetcher) -> None:
    made = [new_job("conn", name, 1) for name in NAMES]
    async with fetcher.database.write(lock="conn") as db:
        for job in made:
            await add(db, job)
        assert await claim(db, job=made[0].id, wake=1, worker="w") is not None
        parked = rows.c.id.in_([job.id for job in made[1:]])
        waiting = '{"reason":"rate limit","until":"2020-01-01T00:00:00Z"}'
        await db.execute(update(rows).where(parked).values(state="ready", waiting=waiting))
        for job in made[1:]:
            assert await claim(db, job=job.id, wake=1, worker="w") is None
        await db.execute(update(rows).where(rows.c.id == made[0].id).values(state="done"))
        await turns.give(db, "conn")
        states = sorted([found.state for job in made[1:] if (found := await get(db, job.id))])
    assert states == ["ready", "turn", "turn"]
