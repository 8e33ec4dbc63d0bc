"""After its database was lost or restored, a fetcher still outranks all that it has sent."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from services.fetcher import known_items
from services.fetcher.plan import plan_refetch
from services.fetcher.store import BELIEVED_UNTIL, next_epoch
from services.fetcher.tables import lanes
from services.fetcher.tests.crashing import Fetcher
from shared.contracts.items import EPOCHS, PAGES_PER_CLAIM, version
from shared.contracts.syncs import RefetchItems
from shared.contracts.topics import ITEMS
from shared.db import Schema
from tests.support.clock import MovableClock

COUNTS = {"apples": 7}
FUTURE_S = 3_000_000_000
"""An epoch that no clock will give before the year 2065."""

clocks = st.floats(min_value=0, max_value=1e12) | st.just(float(BELIEVED_UNTIL)) | st.just(0.0)


@given(st.integers(0, BELIEVED_UNTIL), st.lists(clocks, min_size=1, max_size=20))
def test_whatever_the_clock_does_a_lanes_versions_rise_and_stay_exact(
    last: int, told: list[float]
) -> None:
    highest = version(last, PAGES_PER_CLAIM - 1)
    for now_s in told:
        last = next_epoch(last, now_s)
        assert version(last, 0) > highest
        highest = version(last, PAGES_PER_CLAIM - 1)
        assert highest < 2**53
        assert int(float(highest)) == highest


@given(st.floats(min_value=1, max_value=BELIEVED_UNTIL - 1))
def test_a_lane_that_knows_nothing_begins_at_the_time(now_s: float) -> None:
    assert next_epoch(0, now_s) == int(now_s)


def test_the_highest_version_is_below_the_first_number_that_is_not_exact() -> None:
    assert version(EPOCHS - 1, PAGES_PER_CLAIM - 1) == 2**53 - 1
    for epoch, page in ((EPOCHS, 0), (0, PAGES_PER_CLAIM), (-1, 0)):
        with pytest.raises(OverflowError):
            version(epoch, page)


async def test_a_claim_takes_the_databases_time_and_never_goes_back(home: Path | Schema) -> None:
    fetcher = Fetcher(home, COUNTS)
    await fetcher.boot()
    began = int(time.time())
    await fetcher.connect(1)
    await fetcher.run_until_over()
    (first,) = {at >> 20 for at in fetcher.log.live_items()["apples"].values()}
    assert began - 1 <= first <= time.time() + 1
    async with fetcher.database.write() as db:
        await db.execute(update(lanes).values(epoch=FUTURE_S))
    fetcher.orchard.ids["apples"].append("apples-new")
    await fetcher.ask("again")
    await fetcher.run_until_over()
    assert fetcher.log.live_items()["apples"]["apples-new"] >> 20 == FUTURE_S + 1
    await fetcher.database.close()


async def successor(fetcher: Fetcher, place: Path) -> Fetcher:
    """Return a fetcher with another database but the same topics and provider."""
    await fetcher.kill()
    found = Fetcher(place, COUNTS)
    found.log, found.orchard, found.read = (
        fetcher.log,
        fetcher.orchard,
        len(fetcher.log.of("tributary.jobs.v1")),
    )
    found.crashes = fetcher.crashes
    await found.boot()
    return found


async def forgotten(fetcher: Fetcher) -> None:
    """Make the next load send everything again."""
    async with fetcher.database.write(lock="conn") as db:
        await known_items.invalidate(db, "conn", "apples", fetcher.orchard.ids["apples"])


@pytest.mark.parametrize("left", ["nothing", "an earlier copy"])
async def test_a_fetcher_that_lost_its_database_is_heard_by_all_readers(
    tmp_path: Path, movable_clock: MovableClock, left: str
) -> None:
    fetcher = Fetcher(tmp_path / "first.db", COUNTS)
    await fetcher.boot()
    await fetcher.connect(1)
    await fetcher.run_until_over()
    copy = tmp_path / "copy.db"
    if left == "an earlier copy":
        await fetcher.kill()
        shutil.copy(tmp_path / "first.db", copy)
        await fetcher.boot()
    fetcher.orchard.ids["apples"].append("apples-later")
    for number in range(3):  # each raises the lane's epoch, even when nothing is new
        await fetcher.ask(f"later-{number}")
        await fetcher.run_until_over()
        await forgotten(fetcher)
    movable_clock.move(seconds=60)  # past all epochs: a test claims more often than once a second

    second = await successor(fetcher, copy)
    second.orchard.ids["apples"].append("apples-last")
    await second.connect(9, sync="found-again")
    await second.run_until_over()
    since = len(second.log.messages)
    second.orchard.ids["apples"].remove("apples-later")
    await second.ask("last")
    await second.run_until_over()
    assert second.sent(ITEMS, since) == {"apples-later": [False]}
    assert sorted(second.log.live_items()["apples"]) == second.orchard.ids["apples"]
    await second.kill()


async def test_a_version_from_the_future_is_passed_by_whatever_is_said_of_its_item_next(
    home: Path | Schema,
) -> None:
    fetcher = Fetcher(home, COUNTS)
    await fetcher.boot()
    await fetcher.connect(1)
    await fetcher.run_until_over()
    held = version(FUTURE_S, 12)
    request = RefetchItems(
        connection_id="conn", resource="apples", ids=("apples-001",), highest_version=held
    )
    async with fetcher.database.write(lock="conn") as db:
        await plan_refetch(db, request, providers={"orchard": fetcher.provider})
    await fetcher.run_until_over()
    assert fetcher.log.live_items()["apples"]["apples-001"] > held
    await fetcher.database.close()


async def test_also_when_the_account_was_disconnected_meanwhile(home: Path | Schema) -> None:
    fetcher = Fetcher(home, COUNTS)
    await fetcher.boot()
    await fetcher.connect(1)
    await fetcher.connect(2, status="disconnected")
    await fetcher.run_until_over()
    since, held = len(fetcher.log.messages), version(FUTURE_S, 12)
    request = RefetchItems(
        connection_id="conn", resource="apples", ids=("apples-001",), highest_version=held
    )
    async with fetcher.database.write(lock="conn") as db:
        await plan_refetch(db, request, providers={"orchard": fetcher.provider})
    await fetcher.run_until_over()
    (deletion,) = [message for message in fetcher.log.messages[since:] if message.topic == ITEMS]
    assert deletion.value is None
    assert int(dict(deletion.headers)["version"]) > held
    await fetcher.database.close()


async def test_a_version_that_leaves_no_room_for_a_newer_one_is_refused(tmp_path: Path) -> None:
    fetcher = Fetcher(tmp_path, COUNTS)
    await fetcher.boot()
    await fetcher.connect(1)
    request = RefetchItems(
        connection_id="conn", resource="apples", ids=("apples-001",), highest_version=2**53 - 1
    )
    async with fetcher.database.write(lock="conn") as db:
        with pytest.raises(ValueError, match="leaves no room"):
            await plan_refetch(db, request, providers={"orchard": fetcher.provider})
    await fetcher.kill()
