"""An item is not deleted just because a list lacks it: the provider is asked for it by its id."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select

from services.fetcher.confirm import ask_due
from services.fetcher.finish import MOST_ASKED
from services.fetcher.orders import plan_confirmation, plan_removal
from services.fetcher.tables import unconfirmed
from services.fetcher.tests.crashing import Fetcher
from services.fetcher.tests.test_walks import code, loaded
from services.fetcher.unconfirmed import CONTROLS
from shared.connector import Gone, Lookup, Page, Part, Record, Reject, RetryLater
from shared.contracts.items import parse_key
from shared.contracts.progress import HeldDeletions, Receipt
from shared.contracts.syncs import ConfirmDeletions, RemovePart
from shared.contracts.topics import ITEMS
from shared.db import Schema
from tests.support.clock import MovableClock

MANY = 300


@pytest.fixture
async def fetcher(movable_clock: MovableClock, home: Path | Schema) -> AsyncIterator[Fetcher]:
    """Yield a fetcher that has loaded 300 apples and 4 pears."""
    fetcher = Fetcher(home, {"apples": MANY, "pears": 4})
    fetcher.orchard.size = 100
    await fetcher.boot()
    await loaded(fetcher)
    yield fetcher
    await fetcher.database.close()


def tombstones(fetcher: Fetcher) -> dict[str, tuple[str, str | None]]:
    """Return id → reason and what it was merged into, of each deletion."""
    found = {}
    for message in fetcher.log.of(ITEMS):
        if message.value is None:
            headers = dict(message.headers)
            into = headers.get("merged_into")
            reason = headers["reason"].decode()
            found[parse_key(message.key).id] = (reason, into.decode() if into else None)
    return found


async def receipt(fetcher: Fetcher, sync: str) -> Receipt:
    """Load once more to the end, which is ``done``; return what the apples' receipt says."""
    told = (await loaded(fetcher, sync))["apples"]
    assert told.state == "done", told
    assert told.receipt is not None
    return told.receipt


async def asked_in_the_background(fetcher: Fetcher) -> None:
    await ask_due(fetcher.database)
    await fetcher.run_until_over()


async def queued(fetcher: Fetcher) -> list[str]:
    async with fetcher.database.read() as db:
        return sorted((await db.execute(select(unconfirmed.c.id))).scalars())


async def test_what_the_provider_says_is_archived_is_deleted_with_that_reason(
    fetcher: Fetcher,
) -> None:
    fetcher.orchard.ids["apples"].remove("apples-007")
    told = await receipt(fetcher, "again")
    assert (told.deleted, told.unconfirmed) == (1, 0)
    assert tombstones(fetcher) == {"apples-007": ("archived", None)}


async def test_short_and_empty_lists_delete_nothing_that_is_found_by_its_id(
    fetcher: Fetcher,
) -> None:
    fetcher.orchard.hidden = set(fetcher.orchard.ids["apples"][:150])
    since = len(fetcher.log.messages)
    told = await receipt(fetcher, "short")
    assert (told.deleted, told.emitted, told.unconfirmed) == (0, 0, 0)
    fetcher.orchard.hidden = set(fetcher.orchard.ids["apples"])
    told = await receipt(fetcher, "empty")
    assert (told.deleted, told.unconfirmed) == (0, MANY - MOST_ASKED)
    await asked_in_the_background(fetcher)
    assert await queued(fetcher) == []
    assert fetcher.sent(ITEMS, since) == {}


async def test_of_what_the_provider_does_not_speak_nothing_is_deleted(fetcher: Fetcher) -> None:
    fetcher.orchard.of_missing = "silent"
    fetcher.orchard.ids["apples"].remove("apples-007")
    told = await receipt(fetcher, "again")
    assert (told.deleted, told.unconfirmed) == (0, 1)
    assert tombstones(fetcher) == {}
    assert await queued(fetcher) == ["apples-007"]


async def test_what_is_refused_by_name_beside_one_that_is_found_is_not_visible(
    fetcher: Fetcher,
) -> None:
    fetcher.orchard.of_missing = "refused"
    fetcher.orchard.ids["apples"].remove("apples-007")
    told = await receipt(fetcher, "again")
    assert (told.deleted, told.unconfirmed) == (1, 0)
    assert tombstones(fetcher) == {"apples-007": ("not_visible", None)}
    (asked,) = fetcher.orchard.read_ids
    assert asked[0] == "apples-007"
    assert len(asked) == 1 + CONTROLS, "items that were just seen are asked for too"


async def test_when_everything_is_refused_nothing_is_believed(fetcher: Fetcher) -> None:
    fetcher.orchard.of_missing = "refused"
    fetcher.orchard.ids["apples"] = []
    told = await receipt(fetcher, "again")
    assert (told.deleted, told.unconfirmed) == (0, MANY)
    await asked_in_the_background(fetcher)
    assert tombstones(fetcher) == {}


async def test_few_are_not_believed_gone_either_when_nothing_else_is_found(
    fetcher: Fetcher,
) -> None:
    """Four are too few to be held. They stay only because no item of the walk is found either."""
    fetcher.orchard.of_missing = "refused"
    fetcher.orchard.ids["pears"] = []
    told = (await loaded(fetcher, "again"))["pears"]
    assert told.receipt is not None
    assert (told.receipt.deleted, told.receipt.unconfirmed) == (0, 4)
    await asked_in_the_background(fetcher)
    assert tombstones(fetcher) == {}


async def test_an_object_that_another_one_names_as_merged_goes_with_that_reason(
    fetcher: Fetcher,
) -> None:
    """A lookup by its id does not find the object, but the survivor names it."""
    survivor = Record(
        id="apples-001", name="apples-001", raw={"id": "apples-001"}, replaces=("apples-007",)
    )
    fetcher.orchard.of_missing = "refused"
    fetcher.orchard.ids["apples"] = ["apples-001"]
    fetcher.orchard.script["apples"] = lambda _: Page(records=[survivor], cursor=None)
    await loaded(fetcher, "again")
    assert tombstones(fetcher)["apples-007"] == ("merged", "apples-001")


async def test_an_object_that_is_named_as_merged_but_still_found_stays(fetcher: Fetcher) -> None:
    every = fetcher.orchard.ids["apples"]
    survivor = Record(id=every[0], name=every[0], raw={"id": every[0]}, replaces=(every[7],))
    others = [Record(id=id_, name=id_, raw={"id": id_}) for id_ in every[1:]]
    fetcher.orchard.script["apples"] = lambda _: Page(records=[survivor, *others], cursor=None)
    assert (await receipt(fetcher, "again")).deleted == 0
    assert tombstones(fetcher) == {}


async def test_a_reply_under_another_id_says_merged(fetcher: Fetcher) -> None:
    fetcher.orchard.ids["apples"].remove("apples-007")
    merged = Gone(id="apples-007", reason="merged", merged_into="apples-001")
    fetcher.orchard.of_ids["apples"] = lambda _: Lookup(gone=[merged])
    assert (await receipt(fetcher, "again")).deleted == 1
    assert tombstones(fetcher) == {"apples-007": ("merged", "apples-001")}


async def test_very_many_that_are_not_visible_are_held_until_an_hour_later(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    fetcher.orchard.of_missing = "refused"
    fetcher.orchard.ids["apples"] = fetcher.orchard.ids["apples"][:180]
    told = await receipt(fetcher, "again")
    assert (told.deleted, told.unconfirmed) == (0, 120)
    for minutes in (1, 30):
        movable_clock.move(seconds=60 * minutes)
        await asked_in_the_background(fetcher)
        assert tombstones(fetcher) == {}
    movable_clock.move(hours=1)
    await asked_in_the_background(fetcher)
    assert len(tombstones(fetcher)) == 120
    assert await queued(fetcher) == []


async def test_the_receipt_names_the_parts_of_which_deletions_are_held(fetcher: Fetcher) -> None:
    fetcher.orchard.of_missing = "refused"
    fetcher.orchard.ids["apples"] = fetcher.orchard.ids["apples"][:180]
    told = await receipt(fetcher, "again")
    assert told.held == (HeldDeletions(part="apples", name="the apples", items=120),)
    fetcher.orchard.of_missing = "archived"
    assert (await receipt(fetcher, "and again")).held == ()


async def test_a_person_lets_held_deletions_go(fetcher: Fetcher) -> None:
    fetcher.orchard.of_missing = "refused"
    fetcher.orchard.ids["apples"] = fetcher.orchard.ids["apples"][:180]
    await receipt(fetcher, "again")
    await asked_in_the_background(fetcher)
    order = ConfirmDeletions(connection_id="conn", resource="apples", part="apples")
    async with fetcher.database.write(lock="conn") as db:
        await plan_confirmation(db, order)
    await asked_in_the_background(fetcher)
    assert set(tombstones(fetcher).values()) == {("not_visible", None)}
    assert len(tombstones(fetcher)) == 120


async def test_a_person_removes_what_was_read_of_a_part(fetcher: Fetcher) -> None:
    def refused(_: object) -> Page:
        raise Reject("You may not read this.", code="forbidden")

    fetcher.orchard.script["apples"] = refused
    assert (await loaded(fetcher, "refused"))["apples"].state != "done"
    order = RemovePart(connection_id="conn", resource="apples", part="apples")
    async with fetcher.database.write(lock="conn") as db:
        await plan_removal(db, order)
    await fetcher.run_until_over()
    assert set(tombstones(fetcher).values()) == {("removed", None)}
    assert fetcher.log.live_items()["apples"] == {}
    assert len(fetcher.log.live_items()["pears"]) == 4
    del fetcher.orchard.script["apples"]
    assert (await receipt(fetcher, "back")).emitted == MANY


async def test_what_comes_back_within_the_hour_is_kept(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    every = fetcher.orchard.ids["apples"]
    fetcher.orchard.of_missing = "refused"
    fetcher.orchard.ids["apples"] = every[:180]
    await loaded(fetcher, "again")
    fetcher.orchard.ids["apples"] = every
    movable_clock.move(hours=1)
    await asked_in_the_background(fetcher)
    assert tombstones(fetcher) == {}
    assert await queued(fetcher) == []


async def test_a_second_sync_within_the_hour_confirms_nothing(fetcher: Fetcher) -> None:
    fetcher.orchard.of_missing = "refused"
    fetcher.orchard.ids["apples"] = fetcher.orchard.ids["apples"][:180]
    for sync in ("first", "second", "third"):
        assert (await receipt(fetcher, sync)).unconfirmed == 120
    assert tombstones(fetcher) == {}


async def test_very_many_that_are_archived_are_not_held(fetcher: Fetcher) -> None:
    fetcher.orchard.ids["apples"] = fetcher.orchard.ids["apples"][:50]
    told = await receipt(fetcher, "again")
    assert (told.deleted, told.unconfirmed) == (MOST_ASKED, MANY - 50 - MOST_ASKED)
    await asked_in_the_background(fetcher)
    assert len(tombstones(fetcher)) == MANY - 50


async def test_a_provider_that_does_not_answer_now_is_asked_in_the_background(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    fetcher.orchard.ids["apples"].remove("apples-007")
    down = [True]

    def answer(ids: tuple[str, ...]) -> Lookup:
        if down[0]:
            raise RetryLater("Orchard is not available (status 503).", after_s=600.0)
        return Lookup(gone=[Gone(id=id_, reason="archived") for id_ in ids if id_[-3:] == "007"])

    fetcher.orchard.of_ids["apples"] = answer
    assert (await receipt(fetcher, "again")).unconfirmed == 1
    await asked_in_the_background(fetcher)
    down[0] = False
    movable_clock.move(seconds=599)
    await asked_in_the_background(fetcher)
    assert tombstones(fetcher) == {}, "not within its Retry-After"
    movable_clock.move(seconds=2)
    await asked_in_the_background(fetcher)
    assert tombstones(fetcher) == {"apples-007": ("archived", None)}


async def test_a_job_in_the_background_is_short_and_rests_four_times_as_long(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    def slow(ids: tuple[str, ...]) -> Lookup:
        movable_clock.move(seconds=6)
        return Lookup(gone=[Gone(id=id_, reason="archived") for id_ in ids])

    fetcher.orchard.script["apples"] = lambda _: Page(records=[], cursor=None)
    await loaded(fetcher, "again")
    fetcher.orchard.of_ids["apples"] = slow
    before = len(tombstones(fetcher))
    await asked_in_the_background(fetcher)
    after = len(tombstones(fetcher))
    assert 0 < after - before <= 50, "one chunk: it took longer than a run"
    await asked_in_the_background(fetcher)
    assert len(tombstones(fetcher)) == after, "it rests"
    movable_clock.move(seconds=60)
    await asked_in_the_background(fetcher)
    assert len(tombstones(fetcher)) > after


async def test_a_record_that_cannot_be_read_does_not_keep_others_from_being_deleted(
    fetcher: Fetcher,
) -> None:
    fetcher.orchard.ids["apples"].remove("apples-007")
    fetcher.orchard.reject = 1
    told = (await loaded(fetcher, "again"))["apples"]
    assert (told.state, code(told)) == ("incomplete", "records_dropped")
    assert tombstones(fetcher) == {"apples-007": ("archived", None)}


def refused(_: object) -> Page:
    raise Reject("You may not read this.", code="forbidden")


def listing(*names: str) -> Page:
    parts = tuple(Part(id=name, name=name, lists="/" not in name) for name in names)
    return Page(records=[], cursor=None, parts=parts)


def row(*ids: str) -> Page:
    records = [Record(id=id_, name=id_, raw={"id": id_}) for id_ in ids]
    return Page(records=records, cursor=None)


@pytest.fixture
async def bases(tmp_path: Path) -> AsyncIterator[Fetcher]:
    """Yield a fetcher of an account whose parts are bases and their tables."""
    fetcher = Fetcher(tmp_path, {"apples": 0, "pears": 0})
    await fetcher.boot()
    fetcher.orchard.roots["apples"] = (Part(id="bases", name="the bases", lists=True),)
    yield fetcher
    await fetcher.database.close()


async def test_rows_of_a_table_that_is_no_longer_listed_go_though_another_base_is_refused(
    bases: Fetcher,
) -> None:
    orchard = bases.orchard
    orchard.of_part = {
        "bases": lambda _: listing("one", "two"),
        "one": lambda _: listing("one/a", "one/b"),
        "two": lambda _: listing("two/c"),
        "one/a": lambda _: row("a"),
        "one/b": lambda _: row("b"),
        "two/c": lambda _: row("c"),
    }
    await loaded(bases)
    orchard.of_part |= {"one": lambda _: listing("one/a"), "two": refused}
    told = (await loaded(bases, "again"))["apples"]
    assert (told.state, code(told)) == ("incomplete", "forbidden")
    assert tombstones(bases) == {"b": ("archived", None)}


@pytest.mark.parametrize("hidden", [("1", "2"), ("8", "9")], ids=["first", "last"])
async def test_the_last_row_of_a_table_goes_though_another_base_is_refused_from_now_on(
    bases: Fetcher, hidden: tuple[str, str]
) -> None:
    """No row beside it is left to be asked for as a control, and not every other row will do."""
    orchard = bases.orchard
    orchard.of_part = {
        "bases": lambda _: listing("one", "two", "three"),
        "one": lambda _: listing("one/a"),
        "two": lambda _: listing("two/b"),
        "three": lambda _: listing("three/c"),
        "one/a": lambda _: row(*hidden),
        "two/b": lambda _: row("3"),
        "three/c": lambda _: row("4"),
    }
    await loaded(bases)
    orchard.of_part |= {"two/b": lambda _: row(), "one": refused}

    def read(ids: tuple[str, ...]) -> Lookup:
        there = [id_ for id_ in ids if id_ == "4"]
        return Lookup(records=row(*there).records, absent=[id_ for id_ in ids if id_ not in there])

    orchard.of_ids["apples"] = read
    await loaded(bases, "again")
    assert tombstones(bases) == {"3": ("not_visible", None)}
