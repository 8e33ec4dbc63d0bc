"""An item that the provider truncates is completed, and never replaced by a shorter one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, select

from services.fetcher.confirm import ask_due
from services.fetcher.finish import MOST_COMPLETED
from services.fetcher.tables import truncated, truncated_pieces
from services.fetcher.tests.crashing import Fetcher, Orchard
from services.fetcher.tests.test_walks import loaded
from shared.connector import (
    Call,
    Cursor,
    FieldPiece,
    Lookup,
    Page,
    Record,
    Reject,
    Restart,
    RetryLater,
)
from shared.contracts.items import MAX_BYTES, Item
from shared.contracts.topics import ITEMS
from shared.db import Schema
from tests.support.clock import MovableClock

LISTED = 25
PIECE = 100
Answer = Callable[[str, int], None]


class Cutting(Orchard):
    """An orchard whose trees are listed with their first 25 leaves."""

    trees: dict[str, list[str]]
    """Id → the tree's leaves. What else makes it another object is its ``bark``."""
    bark: dict[str, int]
    refuses: Answer
    """Called with id and start of each piece; may raise."""
    pieces: list[tuple[str, int]]
    cut: tuple[str, ...] = ("leaves",)
    """The fields that records name as cut off. Of these, only the leaves are ever given."""

    def grow(self, **trees: int) -> None:
        for id_, count in trees.items():
            self.trees[id_] = [f"{id_}-{n}" for n in range(count)]

    def record(self, id_: str) -> Record:
        leaves = self.trees[id_]
        raw = {"id": id_, "bark": self.bark.get(id_, 0), "leaves": leaves[:LISTED]}
        cut = self.cut if len(leaves) > LISTED else ()
        return Record(id=id_, name=id_, raw=raw, truncated=cut)

    def listed(self, _: Cursor | None) -> Page:
        return Page(records=[self.record(id_) for id_ in self.trees], cursor=None)

    async def piece(
        self, call: Call, resource: str, id_: str, field: str, cursor: Cursor | None
    ) -> FieldPiece:
        start = cursor["from"] if cursor else 0
        self.pieces.append((id_, start))
        self._crashes.moment()
        self.refuses(id_, start)
        if field != "leaves":
            away()
        ends = start + PIECE >= len(self.trees[id_])
        body = self.trees[id_][start : start + PIECE]
        return FieldPiece(body=body, cursor=None if ends else {"from": start + PIECE})

    def completed(
        self, resource: str, raw: dict[str, Any], pieces: Mapping[str, Sequence[Any]]
    ) -> Record:
        whole = [leaf for piece in pieces.get("leaves", ()) for leaf in piece]
        left = tuple(field for field in self.cut if field not in pieces)
        leaves = {"leaves": whole or raw["leaves"]}
        return Record(id=raw["id"], name=raw["id"], raw=raw | leaves, truncated=left)


def answers(_: str, __: int) -> None:
    return None


def refused(*_: object) -> None:
    raise Reject("It cannot be found.", code="not_found")


def away(*_: object) -> None:
    raise RetryLater("Orchard is not available (status 503).")


def cutting(fetcher: Fetcher) -> Cutting:
    orchard = Cutting(fetcher.crashes, {"apples": 0})
    orchard.trees, orchard.bark, orchard.pieces = {}, {}, []
    orchard.refuses = answers
    orchard.script["apples"] = orchard.listed
    orchard.of_ids["apples"] = lambda ids: Lookup(
        records=[orchard.record(id_) for id_ in ids if id_ in orchard.trees]
    )
    fetcher.orchard = orchard
    return orchard


@pytest.fixture
async def fetcher(movable_clock: MovableClock, tmp_path: Path) -> AsyncIterator[Fetcher]:
    fetcher = await booted(tmp_path)
    yield fetcher
    await fetcher.database.close()


async def booted(where: Path | Schema) -> Fetcher:
    fetcher = Fetcher(where, {"apples": 0})
    cutting(fetcher)
    await fetcher.boot()
    return fetcher


@pytest.fixture
def orchard(fetcher: Fetcher) -> Cutting:
    assert isinstance(fetcher.orchard, Cutting)
    return fetcher.orchard


def leaves(fetcher: Fetcher, id_: str = "oak") -> list[tuple[int, tuple[str, ...]]]:
    """Return of each message of an item how many leaves it has, and what is truncated of it."""
    items = [
        msgspec.json.decode(one.value, type=Item) for one in fetcher.log.of(ITEMS) if one.value
    ]
    return [(len((item.raw or {})["leaves"]), item.truncated) for item in items if item.id == id_]


async def short_in_receipt(fetcher: Fetcher, sync: str) -> int | None:
    """Load once more to the end, which is ``done``; return how many items are not complete."""
    told = (await loaded(fetcher, sync))["apples"]
    assert told.state == "done", told
    assert told.receipt is not None
    assert told.receipt.read == len(fetcher.orchard.trees)  # type: ignore[attr-defined]
    return told.receipt.truncated


async def in_the_background(fetcher: Fetcher) -> None:
    await ask_due(fetcher.database)
    await fetcher.run_until_over()


async def kept_pieces(fetcher: Fetcher) -> int:
    async with fetcher.database.read() as db:
        query = select(func.count()).select_from(truncated_pieces)
        return int((await db.execute(query)).scalar_one())


async def test_a_new_item_is_sent_at_once_and_then_whole(
    fetcher: Fetcher, orchard: Cutting
) -> None:
    orchard.grow(oak=40, fir=3)
    assert await short_in_receipt(fetcher, "sync-1") == 0
    assert leaves(fetcher) == [(25, ("leaves",)), (40, ())]
    assert leaves(fetcher, "fir") == [(3, ())]
    assert await kept_pieces(fetcher) == 0


async def test_what_has_not_changed_is_neither_asked_again_nor_sent(
    fetcher: Fetcher, orchard: Cutting
) -> None:
    orchard.grow(oak=40)
    await loaded(fetcher)
    orchard.pieces.clear()
    assert await short_in_receipt(fetcher, "again") == 0
    assert orchard.pieces == []
    assert len(leaves(fetcher)) == 2


async def test_what_an_older_version_sent_cut_off_is_completed(
    fetcher: Fetcher, orchard: Cutting
) -> None:
    orchard.grow(oak=40)
    orchard.cut = ()
    await loaded(fetcher)
    assert leaves(fetcher) == [(25, ())]
    orchard.cut = ("leaves",)
    assert await short_in_receipt(fetcher, "upgraded") == 0
    assert leaves(fetcher)[1:] == [(40, ())]


async def test_a_whole_item_stays_until_its_next_version_is_whole(
    fetcher: Fetcher, orchard: Cutting, movable_clock: MovableClock
) -> None:
    orchard.grow(oak=40)
    await loaded(fetcher)
    orchard.grow(oak=50)
    orchard.bark["oak"] = 1
    orchard.refuses = away
    assert await short_in_receipt(fetcher, "again") == 1
    assert leaves(fetcher)[-1] == (40, ())
    orchard.refuses = answers
    movable_clock.move(seconds=61)
    await in_the_background(fetcher)
    assert leaves(fetcher)[2:] == [(50, ())]


async def test_what_cannot_be_completed_says_so_and_is_asked_again_when_it_changes(
    fetcher: Fetcher, orchard: Cutting
) -> None:
    orchard.grow(oak=40)
    orchard.refuses = refused
    assert await short_in_receipt(fetcher, "sync-1") == 1
    assert await short_in_receipt(fetcher, "again") == 1
    await in_the_background(fetcher)
    assert leaves(fetcher) == [(25, ("leaves",))]
    assert orchard.pieces == [("oak", 0)]
    orchard.refuses = answers
    orchard.bark["oak"] = 1
    assert await short_in_receipt(fetcher, "changed") == 0
    assert leaves(fetcher)[1:] == [(25, ("leaves",)), (40, ())]


async def test_a_whole_item_whose_next_version_cannot_be_completed_does_not_grow_old(
    fetcher: Fetcher, orchard: Cutting
) -> None:
    orchard.grow(oak=40)
    await loaded(fetcher)
    orchard.bark["oak"] = 1
    orchard.refuses = refused
    assert await short_in_receipt(fetcher, "again") == 1
    assert leaves(fetcher)[2:] == [(25, ("leaves",))]


async def test_nor_does_one_whose_rest_the_provider_fails_to_give_for_two_days(
    fetcher: Fetcher, orchard: Cutting, movable_clock: MovableClock
) -> None:
    orchard.grow(oak=40)
    await loaded(fetcher)
    orchard.bark["oak"] = 1
    orchard.refuses = away
    await loaded(fetcher, "again")
    for _ in range(2):
        movable_clock.move(hours=23)
        await in_the_background(fetcher)
    assert leaves(fetcher)[2:] == []
    movable_clock.move(hours=3)
    await in_the_background(fetcher)
    assert leaves(fetcher)[2:] == [(25, ("leaves",))]
    orchard.refuses = answers
    movable_clock.move(hours=1)
    await in_the_background(fetcher)
    assert leaves(fetcher)[3:] == [(40, ())]


async def test_a_field_that_is_never_given_does_not_keep_the_others_back(
    fetcher: Fetcher, orchard: Cutting, movable_clock: MovableClock
) -> None:
    orchard.grow(oak=40)
    orchard.cut = ("roots", "leaves")
    await loaded(fetcher)
    for hours in (1, 46, 2, 1):
        movable_clock.move(hours=hours)
        await in_the_background(fetcher)
    assert leaves(fetcher) == [(25, ("roots", "leaves")), (40, ("roots",))]


async def test_a_long_completion_goes_on_where_it_stopped(
    fetcher: Fetcher, orchard: Cutting, movable_clock: MovableClock
) -> None:
    def interrupted(_: str, start: int) -> None:
        if start == 200 and orchard.pieces.count(("oak", 200)) == 1:
            raise RetryLater("Orchard is not available (status 503).")

    orchard.grow(oak=300, fir=30)
    orchard.refuses = interrupted
    assert await short_in_receipt(fetcher, "sync-1") == 1
    await in_the_background(fetcher)
    assert leaves(fetcher)[1:] == [], "it is not asked for again at once"
    movable_clock.move(seconds=61)
    await in_the_background(fetcher)
    assert leaves(fetcher)[1:] == [(300, ())]
    asked = [start for id_, start in orchard.pieces if id_ == "oak"]
    assert asked == [0, 100, 200, 200]


async def test_a_load_completes_a_few_and_the_background_all_others(
    fetcher: Fetcher, orchard: Cutting
) -> None:
    trees = {f"tree-{n:03}": 30 for n in range(MOST_COMPLETED)}
    orchard.grow(**trees)
    # Each takes a call, and a step that sends it.
    assert await short_in_receipt(fetcher, "sync-1") == MOST_COMPLETED // 2
    await in_the_background(fetcher)
    assert {tuple(leaves(fetcher, id_)) for id_ in trees} == {((25, ("leaves",)), (30, ()))}


async def test_more_than_an_item_can_hold_stays_cut_off(fetcher: Fetcher, orchard: Cutting) -> None:
    orchard.grow(oak=200)
    orchard.trees["oak"][-1] = "x" * MAX_BYTES
    assert await short_in_receipt(fetcher, "sync-1") == 1
    assert leaves(fetcher) == [(25, ("leaves",))]
    assert await kept_pieces(fetcher) == 0


async def test_a_field_starts_again_when_its_cursor_is_no_longer_valid(
    fetcher: Fetcher, orchard: Cutting
) -> None:
    def expires(_: str, start: int) -> None:
        if start == 100 and orchard.pieces.count(("oak", 100)) <= often:
            raise Restart("The cursor has expired.")

    orchard.grow(oak=150)
    orchard.refuses, often = expires, 1
    assert await short_in_receipt(fetcher, "sync-1") == 0
    assert leaves(fetcher)[-1] == (150, ())
    orchard.bark["oak"], often = 1, 100
    assert await short_in_receipt(fetcher, "again") == 1


async def test_a_field_that_would_never_end_is_given_up(fetcher: Fetcher, orchard: Cutting) -> None:
    async def piece(*_: object) -> FieldPiece:
        orchard.pieces.append(("oak", 1))
        return FieldPiece(body=["leaf"], cursor={"from": 1})

    orchard.grow(oak=40)
    orchard.piece = piece  # type: ignore[method-assign,assignment]
    assert await short_in_receipt(fetcher, "sync-1") == 1
    assert len(orchard.pieces) == 2
    assert leaves(fetcher) == [(25, ("leaves",))]


async def test_an_item_that_is_refetched_comes_whole_under_a_newer_version(
    fetcher: Fetcher, orchard: Cutting
) -> None:
    orchard.grow(oak=40)
    await loaded(fetcher)
    await fetcher.refetch("apples", "oak")
    await fetcher.run_until_over()
    await in_the_background(fetcher)
    assert leaves(fetcher)[1:] == [(40, ()), (40, ())]
    headers = [dict(one.headers) for one in fetcher.log.of(ITEMS)[1:]]
    assert headers[0]["digest"] == headers[1]["digest"]
    assert int(headers[0]["version"]) < int(headers[1]["version"])


async def test_what_has_shrunk_since_is_not_completed(
    fetcher: Fetcher, orchard: Cutting, movable_clock: MovableClock
) -> None:
    orchard.grow(oak=40)
    orchard.refuses = away
    await loaded(fetcher)
    orchard.grow(oak=3)
    orchard.refuses = answers
    movable_clock.move(seconds=61)
    assert await short_in_receipt(fetcher, "shrunk") == 0
    await in_the_background(fetcher)
    assert leaves(fetcher) == [(25, ("leaves",)), (3, ())]
    assert await kept_pieces(fetcher) == 0


@pytest.mark.parametrize("home", ["sqlite", "postgresql"], indirect=True)
async def test_a_process_may_die_at_any_moment(
    movable_clock: MovableClock, home: Path | Schema
) -> None:
    """And a disconnected account leaves nothing behind."""
    fetcher = await booted(home)
    orchard = fetcher.orchard
    assert isinstance(orchard, Cutting)
    orchard.grow(oak=150)
    orchard.refuses = away
    await loaded(fetcher)
    orchard.refuses = answers
    movable_clock.move(seconds=61)
    await ask_due(fetcher.database)
    assert await deaths(fetcher, orchard) > 5
    sent = leaves(fetcher)
    assert sent[-1] == (150, ())
    assert (25, ("leaves",)) not in sent[sent.index((150, ())) :]
    await fetcher.connect(2, status="disconnected")
    await fetcher.run_until_over()
    async with fetcher.database.read() as db:
        assert (await db.execute(select(truncated.c.id))).all() == []
    await fetcher.database.close()


async def deaths(fetcher: Fetcher, orchard: Cutting) -> int:
    """Run the jobs to their end, and return how often the process died.

    After each piece it dies at the first moment, then at the second, and so on.
    """
    dies_at = times = 0
    while await fetcher.unfinished():
        asked = len(orchard.pieces)
        await fetcher.time_passes()
        await fetcher.attempt(fetcher.relay_once())
        fetcher.crashes.left = dies_at
        await fetcher.attempt(fetcher.deliver())
        await fetcher.attempt(fetcher.settle())
        times += fetcher.crashes.left is None
        fetcher.crashes.left = None
        dies_at = dies_at + 1 if len(orchard.pieces) == asked else 0
    return times
