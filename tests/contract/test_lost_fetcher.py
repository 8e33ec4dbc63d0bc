"""The gateway takes what a fetcher sends after its database was lost or restored from a copy.

That includes deletions.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select, update

from services.fetcher import known_items
from services.fetcher.plan import plan_refetch
from services.fetcher.tables import lanes
from services.fetcher.tests.crashing import Fetcher
from services.gateway.project import item_row, project_items, refetch_requests
from services.gateway.tables import items
from shared.contracts.syncs import RefetchItems
from shared.contracts.topics import ITEMS
from shared.db import Database
from shared.kafka import ConsumedRecord
from tests.support.clock import MovableClock

COUNTS = {"apples": 7, "pears": 3}
FUTURE_S = 3_000_000_000
"""An epoch that no clock reaches before the year 2065."""


class Readers:
    """Project the items that a fetcher sends as the gateway does, and request refetches."""

    def __init__(self, database: Database) -> None:
        self._database, self.read, self.asked = database, 0, 0

    async def follow(self, fetcher: Fetcher) -> None:
        """Read what is new and answer requests for refetches until nothing is left to do."""
        for _ in range(10):
            await fetcher.run_until_over()
            requests = await self._project(fetcher)
            if not requests:
                return
            for request in requests:
                async with fetcher.database.write(lock=request.connection_id) as db:
                    await plan_refetch(db, request, providers={"orchard": fetcher.provider})
        raise AssertionError("the same items are asked for without end")

    async def _project(self, fetcher: Fetcher) -> list[RefetchItems]:
        fresh = [
            ConsumedRecord(ITEMS, 0, offset, message.key, message.value, message.headers)
            for offset, message in enumerate(fetcher.log.messages)
            if offset >= self.read and message.topic == ITEMS
        ]
        self.read = len(fetcher.log.messages)
        async with self._database.write() as db:
            stale = await project_items(db, [item_row(record) for record in fresh])
        found = [
            msgspec.json.decode(message.value or b"", type=RefetchItems)
            for message in refetch_requests(stale)
        ]
        self.asked += len(found)
        return found

    async def held(self) -> dict[str, list[str]]:
        async with self._database.read() as db:
            rows = await db.execute(
                select(items.c.resource, items.c.id).where(items.c.deleted.is_(False))
            )
        found: dict[str, list[str]] = {resource: [] for resource in COUNTS}
        for resource, id_ in sorted(rows.all()):
            found[resource].append(id_)
        return found


@pytest.fixture
async def readers(tmp_path: Path) -> AsyncIterator[Readers]:
    database = Database(tmp_path / "gateway.db")
    await database.migrate("services.gateway:migrations")
    yield Readers(database)
    await database.close()


async def loaded_often(fetcher: Fetcher, readers: Readers, *, epoch: int | None = None) -> None:
    """Load some times more, each time with something new and everything sent again."""
    for number in range(3):
        fetcher.orchard.ids["apples"].append(f"apples-new-{number}")
        async with fetcher.database.write(lock="conn") as db:
            await known_items.invalidate(db, "conn", "apples", fetcher.orchard.ids["apples"])
            if epoch is not None:
                await db.execute(update(lanes).values(epoch=epoch + number))
        await fetcher.ask(f"more-{number}")
        await readers.follow(fetcher)


async def successor(fetcher: Fetcher, place: Path) -> Fetcher:
    """Return a fetcher with another database, on the same topics and the same provider."""
    await fetcher.kill()
    found = Fetcher(place, COUNTS)
    found.log, found.orchard, found.crashes = fetcher.log, fetcher.orchard, fetcher.crashes
    found.read = len(found.log.of("tributary.jobs.v1"))
    await found.boot()
    await found.connect(9, sync="found-again")
    return found


@pytest.mark.parametrize("left", ["nothing", "an earlier copy"])
async def test_all_that_it_sends_is_taken_and_nothing_is_asked_for_again(
    tmp_path: Path, readers: Readers, movable_clock: MovableClock, left: str
) -> None:
    fetcher = Fetcher(tmp_path / "first.db", COUNTS)
    await fetcher.boot()
    await fetcher.connect(1)
    await readers.follow(fetcher)
    if left == "an earlier copy":
        await fetcher.kill()
        shutil.copy(tmp_path / "first.db", tmp_path / "second.db")
        await fetcher.boot()
    await loaded_often(fetcher, readers)
    movable_clock.move(seconds=60)  # past all epochs: it claimed more often than once a second

    second = await successor(fetcher, tmp_path / "second.db")
    second.orchard.ids["apples"].append("apples-last")
    await readers.follow(second)
    second.orchard.ids["apples"].remove("apples-new-1")
    del second.orchard.ids["pears"][0]
    await second.ask("last")
    await readers.follow(second)
    assert await readers.held() == {
        resource: sorted(ids) for resource, ids in second.orchard.ids.items()
    }
    assert readers.asked == 0
    await second.kill()


async def test_versions_from_the_future_are_passed_as_soon_as_the_gateway_has_told_of_them(
    tmp_path: Path, readers: Readers
) -> None:
    fetcher = Fetcher(tmp_path / "first.db", COUNTS)
    await fetcher.boot()
    await fetcher.connect(1)
    await readers.follow(fetcher)
    await loaded_often(fetcher, readers, epoch=FUTURE_S)

    second = await successor(fetcher, tmp_path / "second.db")
    await readers.follow(second)
    assert readers.asked == 1, "one request for the lane with the stale appends"
    second.orchard.ids["apples"].remove("apples-new-1")
    await second.ask("last")
    await readers.follow(second)
    assert await readers.held() == {
        resource: sorted(ids) for resource, ids in second.orchard.ids.items()
    }
    assert readers.asked == 1
    await second.kill()
