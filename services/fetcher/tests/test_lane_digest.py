"""The digest of a lane is the one that readers compute from the topic, whatever has happened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

from services.fetcher import known_items
from services.fetcher.jobs.queries import Job
from services.fetcher.orders import plan_removal
from services.fetcher.tables import known_items as items
from services.fetcher.tables import lanes, parts
from services.fetcher.tests.crashing import Fetcher
from services.fetcher.tests.test_walks import apple, loaded
from shared.connector import Gone, Lookup, Page
from shared.contracts.envelope import Message
from shared.contracts.syncs import RemovePart
from shared.contracts.topics import ITEMS
from shared.db import Schema
from tests.support.waiting import until

NOTHING = "0" * 32


@pytest.fixture
async def fetcher(home: Path | Schema) -> AsyncIterator[Fetcher]:
    """Yield a fetcher that has loaded seven apples."""
    fetcher = Fetcher(home, {"apples": 7})
    await fetcher.boot()
    await loaded(fetcher)
    yield fetcher
    await fetcher.kill()


async def stored(fetcher: Fetcher) -> tuple[str, int]:
    """Return the digest in the lane's row, and how many of its items are invalidated."""
    async with fetcher.database.read() as db:
        digest, invalidated = (await db.execute(select(lanes.c.digest, lanes.c.invalidated))).one()
    return digest, invalidated


async def last_ended(fetcher: Fetcher) -> Job:
    await fetcher.run_until_over()
    return max(await fetcher.all_jobs(), key=lambda job: job.ended_at or 0.0)


async def ended(fetcher: Fetcher) -> str:
    """Let every job end; return the digest that readers, row and last receipt agree on."""
    last = await last_ended(fetcher)
    digest = fetcher.log.digests()["apples"]
    assert (last.outcome, last.receipt.digest, await stored(fetcher)) == (
        "done",
        digest,
        (digest, 0),
    )
    return digest


async def missing(fetcher: Fetcher) -> None:
    fetcher.orchard.of_missing = "refused"
    fetcher.orchard.hidden = {fetcher.orchard.ids["apples"].pop()}
    await fetcher.ask("one is not visible")


async def disconnection(fetcher: Fetcher) -> None:
    await fetcher.connect(2, status="disconnected")


async def removal(fetcher: Fetcher) -> None:
    async with fetcher.database.write(lock="conn") as db:
        await db.execute(update(parts).values(outcome="failed"))
        order = RemovePart(connection_id="conn", resource="apples", part="apples")
        await plan_removal(db, order)


async def test_what_loads_and_refetches_change_changes_the_digest(fetcher: Fetcher) -> None:
    every, first = fetcher.orchard.ids["apples"], await ended(fetcher)
    await fetcher.ask("nothing new")
    assert await ended(fetcher) == first
    await fetcher.refetch("apples", *every[:2])
    assert await ended(fetcher) == first
    every[4] = "apples-new"
    await fetcher.ask("one new, one archived")
    second = await ended(fetcher)
    await fetcher.refetch("apples", every.pop())
    third = await ended(fetcher)
    changed = Page(records=[apple(1), apple(2, "pip")], cursor=None)
    fetcher.orchard.script["apples"] = lambda _: changed
    await fetcher.ask("two changed, the others not in the list")
    assert len({first, second, third, await ended(fetcher)}) == 4


async def test_a_lane_without_items_has_no_digest_but_zeros(fetcher: Fetcher) -> None:
    first = await ended(fetcher)
    await removal(fetcher)
    assert await ended(fetcher) == NOTHING
    await fetcher.ask("back")
    assert await ended(fetcher) == first
    await disconnection(fetcher)
    assert await ended(fetcher) == NOTHING
    await fetcher.connect(3, generation=2)
    assert await ended(fetcher) == first


async def test_what_is_invalidated_while_its_page_is_on_its_way_stays_so_until_it_is_sent_again(
    fetcher: Fetcher,
) -> None:
    """A reader may have it under a greater version than the one that is on its way."""
    records = [apple(1), apple(2), apple(8)]
    fetcher.orchard.script["apples"] = lambda _: Page(records=records, cursor=None)
    await fetcher.ask("two")
    await fetcher.run_until_over()
    gate = fetcher.log.gate = asyncio.Event()
    records[1:] = [apple(2, "changed"), apple(9)]
    await fetcher.ask("again")
    running = asyncio.create_task(fetcher.run_until_over())
    await until(lambda: sending(fetcher))
    doubtful = ("apples-001", "apples-002", "apples-009")
    async with fetcher.database.write(lock="conn") as db:
        await known_items.invalidate(db, "conn", "apples", doubtful)
    gate.set()
    await running
    assert (await stored(fetcher))[1] == len(doubtful)
    assert (await last_ended(fetcher)).receipt.digest is None
    since = len(fetcher.log.messages)
    await fetcher.ask("and again")
    await ended(fetcher)
    assert fetcher.sent(ITEMS, since).keys() == set(doubtful)


async def sending(fetcher: Fetcher) -> bool:
    return any(job.pending_ids for job in await fetcher.unfinished())


@pytest.mark.parametrize("job", ["load", "refetch"])
async def test_what_comes_back_after_its_deletion_was_sent_but_not_recorded_is_sent_again(
    tmp_path: Path, job: str
) -> None:
    fetcher = Fetcher(tmp_path, {"apples": 7})
    await fetcher.boot()
    await loaded(fetcher)
    every = fetcher.orchard.ids["apples"]
    back = every.pop()

    def archived(ids: tuple[str, ...]) -> Lookup:
        fetcher.orchard.of_ids["apples"] = lambda _: Lookup()
        every.append(back)
        # It dies when Kafka has the deletion: after a commit, and the two ends of the append.
        fetcher.crashes.left = 2
        return Lookup(gone=[Gone(id=back, reason="archived")])

    fetcher.orchard.of_ids["apples"] = archived
    await (fetcher.ask("again") if job == "load" else fetcher.refetch("apples", back))
    since = len(fetcher.log.messages)
    await fetcher.attempt(fetcher.run_until_over())
    assert fetcher.sent(ITEMS, since) == {back: [False]}
    assert (await last_ended(fetcher)).receipt.digest is None
    await fetcher.ask("later")
    await ended(fetcher)
    assert back in fetcher.log.live_items()["apples"]
    await fetcher.kill()


@pytest.mark.parametrize("begin", [missing, removal, disconnection])
async def test_deletions_that_were_sent_by_a_job_that_failed_are_taken_back_by_the_next_load(
    tmp_path: Path, begin: Callable[[Fetcher], Awaitable[None]]
) -> None:
    fetcher = Fetcher(tmp_path, {"apples": 7})
    await fetcher.boot()
    await loaded(fetcher)
    every, send_all = list(fetcher.orchard.ids["apples"]), fetcher.log.send_all

    async def breaks(messages: Sequence[Message]) -> dict[int, int]:
        positions = await send_all(messages)
        if any(one.topic == ITEMS and one.value is None for one in messages):
            raise TypeError("a fault of ours")
        return positions

    fetcher.log.send_all = breaks  # type: ignore[method-assign]
    await begin(fetcher)
    last = await last_ended(fetcher)
    # A load that has read something is incomplete.
    outcome = "incomplete" if begin is missing else "failed"
    assert (last.outcome, last.receipt.digest) == (outcome, None)
    fetcher.log.send_all = send_all  # type: ignore[method-assign]
    fetcher.orchard.ids["apples"], fetcher.orchard.hidden = every, set()
    await fetcher.connect(9, generation=2 if begin is disconnection else 1)
    await ended(fetcher)
    assert sorted(fetcher.log.live_items()["apples"]) == every
    await fetcher.kill()


async def test_where_the_known_items_were_deleted_by_hand_the_digest_starts_from_nothing(
    fetcher: Fetcher,
) -> None:
    async with fetcher.database.write() as db:
        await db.execute(delete(items))
    await fetcher.ask("everything again")
    await ended(fetcher)
