"""A person removes the items of a part that cannot be read: nothing else goes, nor stays away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.fetcher.orders import plan_removal
from services.fetcher.settings import GIVE_UP_AFTER_S
from services.fetcher.tests.crashing import Fetcher
from services.fetcher.tests.test_parts import (
    ALL,
    BUT_GREEN,
    TABLES,
    down,
    live,
    named,
    refused,
    refusing,
    rows,
)
from services.fetcher.tests.test_walks import loaded
from shared.connector import Interruption, Page, Part, RetryLater
from shared.contracts.syncs import RemovePart
from shared.contracts.topics import JOBS
from shared.db import Schema


@pytest.fixture
async def fetcher(home: Path | Schema) -> AsyncIterator[Fetcher]:
    """Yield a fetcher whose ``apples`` are a list that names three tables of two pages each."""
    fetcher = Fetcher(home, {"apples": 0})
    await fetcher.boot()
    fetcher.orchard.roots["apples"] = (Part(id="list", name="the list of tables", lists=True),)
    fetcher.orchard.of_part = {table: rows(table) for table in TABLES}
    fetcher.orchard.of_part["list"] = lambda _: Page(records=[], cursor=None, parts=named(*TABLES))
    fetcher.lose_patience()
    yield fetcher
    await fetcher.database.close()


async def remove_green(fetcher: Fetcher) -> None:
    async with fetcher.database.write(lock="conn") as db:
        await plan_removal(db, RemovePart(connection_id="conn", resource="apples", part="green"))


async def delivered(fetcher: Fetcher) -> None:
    await fetcher.relay_once()
    while fetcher.read < len(fetcher.log.of(JOBS)):
        await fetcher.deliver()
    await fetcher.settle()


async def test_what_was_removed_of_a_part_is_read_again_from_its_beginning(
    fetcher: Fetcher,
) -> None:
    fetcher.orchard.of_part["green"] = refusing(down, since=3, pages=5)
    await loaded(fetcher)
    await remove_green(fetcher)
    await fetcher.run_until_over()
    assert live(fetcher) == BUT_GREEN
    fetcher.orchard.of_part["green"] = rows("green", 5)
    assert (await loaded(fetcher, "again"))["apples"].state == "done"
    assert live(fetcher) == sorted({*ALL, *(f"green-{n}" for n in range(5))})


async def test_a_waiting_sync_reads_what_was_removed_of_its_part_again(fetcher: Fetcher) -> None:
    object.__setattr__(fetcher.context, "give_up_after_s", GIVE_UP_AFTER_S)

    def away() -> Interruption:
        return RetryLater("Orchard is not available (status 502).", after_s=60.0)

    fetcher.orchard.of_part["green"] = refusing(away, since=3, pages=5)
    await fetcher.connect(1)
    await delivered(fetcher)
    (job,) = [job for job in await fetcher.unfinished() if job.resource == "apples"]
    assert job.state == "waiting"
    await remove_green(fetcher)
    await delivered(fetcher)
    assert live(fetcher) == BUT_GREEN
    fetcher.orchard.of_part["green"] = rows("green", 5)
    await fetcher.run_until_over()
    assert fetcher.newest_progress()["sync-1", "apples"].state == "done"
    assert live(fetcher) == sorted({*ALL, *(f"green-{n}" for n in range(5))})


async def test_what_a_sync_has_read_completely_since_the_order_is_not_removed(
    fetcher: Fetcher,
) -> None:
    fetcher.orchard.of_part["green"] = refusing(down, since=1)
    await loaded(fetcher)
    fetcher.orchard.of_part["green"] = rows("green")
    await fetcher.ask("whole")
    await remove_green(fetcher)
    await fetcher.run_until_over()
    assert live(fetcher) == ALL
    assert {job.outcome for job in await fetcher.all_jobs() if job.kind == "remove"} == {"done"}


async def test_what_a_sync_could_not_come_to_is_removed_though_it_was_read_once(
    fetcher: Fetcher,
) -> None:
    await loaded(fetcher)
    fetcher.orchard.of_part["list"] = refusing(refused)
    await loaded(fetcher, "refused")
    await remove_green(fetcher)
    await fetcher.run_until_over()
    assert live(fetcher) == BUT_GREEN
