"""A stale append is corrected in the end, even if the item cannot be read again at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.fetcher.plan import plan_refetch
from services.fetcher.tests.crashing import Fetcher
from shared.connector import Lookup, Place, Reject, Rejected, RetryLater
from shared.contracts.syncs import RefetchItems
from shared.contracts.topics import ITEMS, dead_letters


@pytest.fixture
async def fetcher(tmp_path: Path) -> AsyncIterator[Fetcher]:
    fetcher = Fetcher(tmp_path, {"apples": 4})
    await fetcher.boot()
    await fetcher.connect(1)
    await fetcher.run_until_over()
    yield fetcher
    await fetcher.kill()


async def ask_again(fetcher: Fetcher, *ids: str) -> None:
    request = RefetchItems(connection_id="conn", resource="apples", ids=ids, highest_version=0)
    async with fetcher.database.write(lock="conn") as db:
        await plan_refetch(db, request, providers={"orchard": fetcher.provider})


async def test_an_id_that_the_provider_refuses_to_read_is_sent_by_the_next_load(
    fetcher: Fetcher,
) -> None:
    async def refuse(*_: object) -> None:
        raise Reject("one of these ids is malformed")

    fetcher.orchard.read = refuse  # type: ignore[method-assign,assignment]
    since = len(fetcher.log.messages)
    await ask_again(fetcher, "apples-001")
    await fetcher.run_until_over()
    assert fetcher.sent(ITEMS, since) == {}
    await fetcher.ask("next")
    await fetcher.run_until_over()
    assert fetcher.sent(ITEMS, since) == {"apples-001": [True]}


async def test_what_was_to_be_read_again_when_the_account_was_disconnected_is_deleted_with_it(
    fetcher: Fetcher,
) -> None:
    since = len(fetcher.log.messages)
    await ask_again(
        fetcher, "late-one"
    )  # deleted once, then appended late: the lane no longer knows it
    await fetcher.connect(2, status="disconnected")
    await fetcher.run_until_over()
    assert fetcher.sent(ITEMS, since)["late-one"] == [False]


async def test_what_a_refetch_learns_nothing_of_is_sent_by_the_next_load_though_unchanged(
    fetcher: Fetcher,
) -> None:
    """Readers may have been left with an older state of it."""
    fetcher.orchard.of_ids["apples"] = lambda _: Lookup()
    since = len(fetcher.log.messages)
    await ask_again(fetcher, "apples-001", "never-known")
    await fetcher.run_until_over()
    assert fetcher.sent(ITEMS, since) == {}
    del fetcher.orchard.of_ids["apples"]
    await fetcher.ask("next")
    await fetcher.run_until_over()
    assert fetcher.sent(ITEMS, since) == {"apples-001": [True]}


async def test_a_record_that_cannot_be_read_again_makes_one_dead_letter(fetcher: Fetcher) -> None:
    broken = Rejected(pointer="/results/0", reason="odd", raw=b'{"id":7}')
    fetcher.orchard.of_ids["apples"] = lambda _: Lookup(rejected=[broken])
    for _ in range(3):
        await ask_again(fetcher, "apples-001")
        await fetcher.run_until_over()
    assert len(fetcher.log.of(dead_letters(ITEMS))) == 1


async def test_a_refetch_that_fails_does_not_make_a_waiting_load_see_a_loop(
    fetcher: Fetcher,
) -> None:
    down = [True]

    def weigh(place: Place) -> None:
        if down[0] and place.cursor is not None:
            raise RetryLater("It is down.")

    def refuse(_: tuple[str, ...]) -> Lookup:
        raise Reject("one of these ids is malformed")

    fetcher.orchard.weighs, fetcher.orchard.of_ids["apples"] = weigh, refuse
    fetcher.orchard.ids["apples"] += ["apples-004", "apples-005", "apples-006"]
    await fetcher.ask("waits")
    await delivered(fetcher)
    assert [job.state for job in await fetcher.unfinished()] == ["waiting"]
    await ask_again(fetcher, "apples-001")
    await delivered(fetcher)
    assert [job.kind for job in await fetcher.unfinished()] == ["load"]
    down[0] = False
    await fetcher.run_until_over()
    assert fetcher.newest_progress()["waits", "apples"].state == "done"


async def delivered(fetcher: Fetcher) -> None:
    """Run what is due now, and let no time pass."""
    for _ in range(4):
        await fetcher.relay_once()
        await fetcher.deliver()
        await fetcher.settle()
