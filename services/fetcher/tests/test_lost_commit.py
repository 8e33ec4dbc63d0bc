"""When a commit's answer was lost, the commit may have happened: the claimed job runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from services.fetcher.tests.crashing import Fetcher
from shared.db import Schema


async def test_a_claim_that_was_committed_though_nobody_heard_of_it_is_worked_on(
    home: Path | Schema,
) -> None:
    fetcher = Fetcher(home, {"apples": 4})
    await fetcher.boot()
    await fetcher.connect(1)
    await fetcher.relay_once()
    breaks = [OperationalError("COMMIT", None, Exception("the connection was lost"))]

    def answer_lost(_: bool) -> None:
        if breaks:
            raise breaks.pop()

    fetcher.database.on_commit(answer_lost)
    with pytest.raises(OperationalError):
        await fetcher.deliver(commit=False)
    assert [job.state for job in await fetcher.unfinished()] == ["running"]
    await fetcher.run_until_over()
    assert len(fetcher.log.live_items()["apples"]) == 4
    await fetcher.kill()
