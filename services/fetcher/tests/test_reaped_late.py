"""A worker that is given up between noting what it sends and sending it leaves no item that nobody knows of."""

from __future__ import annotations

from pathlib import Path

import msgspec

from services.fetcher import jobs, seen
from services.fetcher.tests.crashing import Fetcher
from shared.contracts.pages import LoadPage
from shared.contracts.topics import PAGES


async def test_what_was_noted_after_the_reaper_had_looked_is_doubted_too(tmp_path: Path) -> None:
    fetcher = Fetcher(tmp_path, {"apples": 4})
    await fetcher.boot()
    await fetcher.connect(1)
    await fetcher.relay_once()
    wake = msgspec.json.decode(fetcher.log.of(PAGES)[0].value or b"", type=LoadPage)
    async with fetcher.database.write(lock="conn") as db:
        mine = await jobs.claim(db, job=wake.job, wake=wake.wake, worker="given up")
    assert mine is not None
    async with fetcher.database.read() as db:
        orphaned = await jobs.in_state(db, "running")
    async with fetcher.database.write(lock="conn") as db:
        await jobs.intend(db, mine, ("apples-000",))
    async with fetcher.database.write(lock="conn") as db:
        await jobs.wake_again(db, orphaned[0])
    async with fetcher.database.read() as db:
        assert set(await seen.known(db, "conn", "apples", ["apples-000"])) == {"apples-000"}
    await fetcher.kill()
