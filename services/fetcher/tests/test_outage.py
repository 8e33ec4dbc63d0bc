"""A fetcher survives a long outage of its database, and a clock that is moved."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sqlalchemy import update

from services.fetcher import store
from services.fetcher.reap import BEAT_S, DEAD_AFTER_S, keep_alive
from services.fetcher.tables import workers
from services.fetcher.tests.crashing import Fetcher
from shared.db import machine_now
from tests.support.clock import MovableClock
from tests.support.waiting import turns, until


async def test_the_first_to_beat_after_an_outage_does_not_bury_the_others(
    movable_clock: MovableClock, tmp_path: Path
) -> None:
    fetcher = Fetcher(tmp_path, {"apples": 4})
    await fetcher.boot()
    async with fetcher.database.write() as db:
        await store.arrive(db, "other")
        await db.execute(update(workers).values(beat_at=machine_now() - DEAD_AFTER_S - 1))
    beating = asyncio.create_task(
        keep_alive(fetcher.database, fetcher.worker.id, died=lambda: None)
    )
    await turns(2)
    movable_clock.move(seconds=BEAT_S)
    assert "other" in await until(lambda: living_once_it_beat(fetcher))
    beating.cancel()
    await asyncio.wait([beating])
    await fetcher.kill()


async def living_once_it_beat(fetcher: Fetcher) -> set[str] | None:
    """Return the live workers, or None until the fetcher has sent a heartbeat."""
    async with fetcher.database.read() as db:
        if await store.silent(db, fetcher.worker.id) > DEAD_AFTER_S:
            return None
        return await store.live_workers(db)


async def test_a_clock_that_is_moved_by_a_day_makes_no_worker_dead(
    movable_clock: MovableClock, tmp_path: Path
) -> None:
    fetcher = Fetcher(tmp_path, {"apples": 4})
    await fetcher.boot()
    movable_clock.move(days=1)
    async with fetcher.database.write() as db:
        assert await store.silent(db, fetcher.worker.id) < 3_600
        await store.forget_workers(db, silent_s=3_600)
        assert fetcher.worker.id in await store.live_workers(db)
    await fetcher.kill()
