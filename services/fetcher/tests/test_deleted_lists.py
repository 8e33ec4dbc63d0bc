"""One call settles many missing items if the provider lists what was deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.fetcher.confirm import CHUNK, FEW
from services.fetcher.tests.crashing import Fetcher, Orchard
from services.fetcher.tests.test_confirm import asked_in_the_background, queued, receipt, tombstones
from services.fetcher.tests.test_walks import loaded
from shared.connector import Call, Gone, Interruption, Reject, Restart, RetryLater
from shared.db import Schema
from tests.support.clock import MovableClock

MANY = 300


class ListingOrchard(Orchard):
    """An orchard that lists what was deleted, and is silent about it when asked by id."""

    trash: set[str]
    failure: Interruption | None = None
    listed: list[tuple[str, ...]]

    async def deleted(self, call: Call, resource: str, ids: tuple[str, ...]) -> list[Gone]:
        self.listed.append(ids)
        if self.failure is not None:
            raise self.failure
        return [Gone(id=id_, reason="trashed") for id_ in ids if id_ in self.trash]


@pytest.fixture
async def fetcher(movable_clock: MovableClock, home: Path | Schema) -> AsyncIterator[Fetcher]:
    fetcher = Fetcher(home, {"apples": MANY})
    fetcher.orchard = ListingOrchard(fetcher.crashes, {"apples": MANY})
    fetcher.orchard.size, fetcher.orchard.of_missing = 100, "silent"
    fetcher.orchard.trash, fetcher.orchard.listed = set(), []
    await fetcher.boot()
    await loaded(fetcher)
    yield fetcher
    await fetcher.database.close()


def orchard_of(fetcher: Fetcher) -> ListingOrchard:
    assert isinstance(fetcher.orchard, ListingOrchard)
    return fetcher.orchard


async def test_one_call_deletes_all_that_is_in_the_trash(fetcher: Fetcher) -> None:
    orchard = orchard_of(fetcher)
    kept, lost = orchard.ids["apples"][:10], orchard.ids["apples"][10:]
    orchard.ids["apples"], orchard.trash = kept, set(lost)
    told = await receipt(fetcher, "again")
    assert (told.deleted, told.unconfirmed) == (len(lost), 0)
    assert tombstones(fetcher) == dict.fromkeys(lost, ("trashed", None))
    assert list(map(set, orchard.listed)) == [set(lost)]
    assert orchard.read_ids == []


async def test_what_is_not_in_the_list_is_asked_for_by_its_id(fetcher: Fetcher) -> None:
    orchard = orchard_of(fetcher)
    lost = orchard.ids["apples"][: CHUNK + 20]
    orchard.trash, orchard.hidden = set(lost[:10]), set(lost)
    told = await receipt(fetcher, "again")
    assert (told.deleted, told.unconfirmed) == (10, 0)
    assert sorted(tombstones(fetcher)) == lost[:10]
    asked = {id_ for ids in orchard.read_ids for id_ in ids}
    assert asked & set(lost) == set(lost[10:])


@pytest.mark.parametrize(
    "failure",
    [Reject("There is no such list."), RetryLater("It took too long."), Restart("It is over.")],
)
async def test_a_provider_that_fails_at_the_list_is_asked_for_each_id(
    fetcher: Fetcher, failure: Interruption
) -> None:
    orchard = orchard_of(fetcher)
    orchard.failure, orchard.of_missing = failure, "archived"
    lost = orchard.ids["apples"][:20]
    del orchard.ids["apples"][:20]
    assert (await receipt(fetcher, "again")).deleted == len(lost)
    assert set(tombstones(fetcher).values()) == {("archived", None)}


async def test_a_limit_that_is_reached_at_the_list_is_waited_for(fetcher: Fetcher) -> None:
    orchard = orchard_of(fetcher)
    orchard.failure = RetryLater("The limit is reached.", limit=True)
    del orchard.ids["apples"][:20]
    assert (await receipt(fetcher, "again")).unconfirmed == 20
    assert orchard.read_ids == []


async def test_a_few_are_asked_for_by_their_ids_at_once(fetcher: Fetcher) -> None:
    orchard = orchard_of(fetcher)
    orchard.of_missing = "archived"
    del orchard.ids["apples"][:FEW]
    assert (await receipt(fetcher, "again")).deleted == FEW
    assert orchard.listed == []


async def test_nothing_that_the_list_lacks_leaves_the_queue_unasked(fetcher: Fetcher) -> None:
    orchard = orchard_of(fetcher)
    lost = orchard.ids["apples"][:20]
    del orchard.ids["apples"][:20]
    told = await receipt(fetcher, "again")
    assert (told.deleted, told.unconfirmed) == (0, len(lost))
    await asked_in_the_background(fetcher)
    assert await queued(fetcher) == lost
