"""The queue of missing items: no old answer deletes, and no item keeps others waiting."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.fetcher import store
from services.fetcher.confirm import CHUNK, ask_due
from services.fetcher.jobs import queries
from services.fetcher.orders import plan_confirmation
from services.fetcher.tests.crashing import Fetcher
from services.fetcher.tests.test_confirm import asked_in_the_background, queued, receipt, tombstones
from services.fetcher.tests.test_walks import loaded
from shared.connector import Gone, Lookup, Record, Reject, RetryLater
from shared.contracts.syncs import ConfirmDeletions
from shared.db import Schema
from tests.support.clock import MovableClock

MANY = 300
HELD = 110
"""More than a hundred, and more than a fifth."""


@pytest.fixture
async def fetcher(movable_clock: MovableClock, home: Path | Schema) -> AsyncIterator[Fetcher]:
    fetcher = Fetcher(home, {"apples": MANY})
    fetcher.orchard.size, fetcher.orchard.of_missing = 100, "refused"
    await fetcher.boot()
    await loaded(fetcher)
    yield fetcher
    await fetcher.database.close()


def lost(fetcher: Fetcher, count: int) -> list[str]:
    """Remove the last items at the provider; return their ids."""
    every = fetcher.orchard.ids["apples"]
    fetcher.orchard.ids["apples"], gone = every[:-count], every[-count:]
    return gone


def archived(ids: tuple[str, ...]) -> Lookup:
    return Lookup(gone=[Gone(id=id_, reason="archived") for id_ in ids])


async def test_an_old_refusal_deletes_nothing_once_the_others_are_back(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    every = fetcher.orchard.ids["apples"]
    gone = lost(fetcher, HELD)
    assert (await receipt(fetcher, "held")).unconfirmed == HELD
    movable_clock.move(seconds=1_800)
    # All of them are back. Lists still lack them, and the provider fails after the first lookup.
    fetcher.orchard.ids["apples"], fetcher.orchard.hidden = every, set(gone)
    answered: list[int] = []

    def once(ids: tuple[str, ...]) -> Lookup:
        if answered:
            raise RetryLater("It is down.")
        answered.append(len(ids))
        return Lookup(records=[Record(id=id_, name=id_, raw={"id": id_}) for id_ in ids])

    fetcher.orchard.of_ids["apples"] = once
    told = await receipt(fetcher, "again")
    assert (told.deleted, told.unconfirmed) == (0, HELD - CHUNK)
    assert tombstones(fetcher) == {}


async def test_what_was_read_again_stays_whatever_was_said_of_it_before(fetcher: Fetcher) -> None:
    gone = lost(fetcher, HELD)
    await receipt(fetcher, "held")
    fetcher.orchard.ids["apples"].append(gone[0])
    await fetcher.refetch("apples", gone[0])
    await fetcher.run_until_over()
    order = ConfirmDeletions(connection_id="conn", resource="apples", part="apples")
    async with fetcher.database.write(lock="conn") as db:
        await plan_confirmation(db, order)
    await asked_in_the_background(fetcher)
    assert set(tombstones(fetcher)) == set(gone[1:])


async def test_what_a_person_confirms_goes_when_it_is_refused_later(fetcher: Fetcher) -> None:
    gone = lost(fetcher, HELD)
    fetcher.orchard.of_missing = "silent"
    await receipt(fetcher, "silent")
    order = ConfirmDeletions(connection_id="conn", resource="apples", part="apples")
    async with fetcher.database.write(lock="conn") as db:
        await plan_confirmation(db, order)
    fetcher.orchard.of_missing = "refused"
    await receipt(fetcher, "again")
    assert set(tombstones(fetcher)) == set(gone)


async def test_one_id_that_the_provider_does_not_take_keeps_no_other_waiting(
    fetcher: Fetcher,
) -> None:
    gone = lost(fetcher, 20)

    def answer(ids: tuple[str, ...]) -> Lookup:
        if gone[7] in ids:
            raise Reject("It does not take this id.")
        return archived(ids)

    fetcher.orchard.of_ids["apples"] = answer
    told = await receipt(fetcher, "again")
    assert (told.deleted, told.unconfirmed) == (19, 1)
    assert await queued(fetcher) == [gone[7]]


async def test_a_provider_that_takes_no_id_is_not_asked_for_each(fetcher: Fetcher) -> None:
    lost(fetcher, 20)
    calls: list[int] = []

    def answer(ids: tuple[str, ...]) -> Lookup:
        calls.append(len(ids))
        raise Reject("You may not read this.")

    fetcher.orchard.of_ids["apples"] = answer
    assert (await receipt(fetcher, "again")).unconfirmed == 20
    assert len(calls) < 10


async def test_a_chunk_without_an_answer_lets_others_go_first(fetcher: Fetcher) -> None:
    gone = lost(fetcher, 60)

    def answer(ids: tuple[str, ...]) -> Lookup:
        if gone[0] in ids:
            raise RetryLater("It took too long.")
        return archived(ids)

    fetcher.orchard.of_ids["apples"] = answer
    assert (await receipt(fetcher, "again")).deleted == 0
    await asked_in_the_background(fetcher)
    assert set(tombstones(fetcher)) == set(gone[CHUNK:])


async def test_the_background_deletes_what_was_refused_before_its_run_ends(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    gone = lost(fetcher, 60)
    kept = set(fetcher.orchard.ids["apples"])

    def down(_: tuple[str, ...]) -> Lookup:
        raise RetryLater("It is down.")

    def slow(ids: tuple[str, ...]) -> Lookup:
        movable_clock.move(seconds=6)
        there = [Record(id=id_, name=id_, raw={"id": id_}) for id_ in ids if id_ in kept]
        return Lookup(records=there, absent=[id_ for id_ in ids if id_ not in kept])

    fetcher.orchard.of_ids["apples"] = down
    assert (await receipt(fetcher, "again")).deleted == 0
    fetcher.orchard.of_ids["apples"] = slow
    movable_clock.move(seconds=600)
    await asked_in_the_background(fetcher)
    assert len(tombstones(fetcher)) == CHUNK
    movable_clock.move(seconds=600)
    await asked_in_the_background(fetcher)
    assert set(tombstones(fetcher)) == set(gone)


async def test_a_lane_has_one_job_in_the_background_at_a_time(fetcher: Fetcher) -> None:
    lost(fetcher, HELD)
    await receipt(fetcher, "held")
    for _ in range(3):
        async with fetcher.database.write(lock="conn") as db:
            await store.confirm_at(db, "conn", "apples", 0.0)
        await ask_due(fetcher.database)
    async with fetcher.database.read() as db:
        kinds = [job.kind for job in await queries.unfinished(db, "conn")]
    assert kinds == ["confirm"]
