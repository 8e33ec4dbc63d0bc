"""A worker given up between noting items and sending them leaves no item that is unknown."""

from __future__ import annotations

from pathlib import Path

import msgspec

from services.fetcher import known_items
from services.fetcher.jobs import queries, transitions
from services.fetcher.tests.crashing import Fetcher
from shared.contracts.jobs import RunJob
from shared.contracts.topics import JOBS


async def test_what_was_noted_after_the_reaper_had_looked_is_doubted_too(tmp_path: Path) -> None:
    fetcher = Fetcher(tmp_path, {"apples": 4})
    await fetcher.boot()
    await fetcher.connect(1)
    await fetcher.relay_once()
    sent = msgspec.json.decode(fetcher.log.of(JOBS)[0].value or b"", type=RunJob)
    async with fetcher.database.write(lock="conn") as db:
        mine = await transitions.claim(
            db, job_id=sent.job_id, dispatch=sent.dispatch, worker_id="given up"
        )
    assert mine is not None
    async with fetcher.database.read() as db:
        orphaned = await queries.in_state(db, "running")
    async with fetcher.database.write(lock="conn") as db:
        await queries.record_pending(db, mine, ("apples-000",))
    async with fetcher.database.write(lock="conn") as db:
        await transitions.redispatch(db, orphaned[0], "worker_gone")
    async with fetcher.database.read() as db:
        assert set(await known_items.known(db, "conn", "apples", ["apples-000"])) == {"apples-000"}
    await fetcher.kill()
