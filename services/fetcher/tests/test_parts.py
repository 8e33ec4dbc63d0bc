"""A part that fails does not stop the others, is reported, and is read at the next load."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from services.fetcher.interrupt import GOES_ON
from services.fetcher.jobs import queries
from services.fetcher.parts import MOST_NAMED
from services.fetcher.plan import plan_refetch
from services.fetcher.settings import GIVE_UP_AFTER_S
from services.fetcher.tables import jobs, parts
from services.fetcher.tests.crashing import Fetcher
from services.fetcher.tests.test_walks import code, loaded, number_of
from shared.connector import (
    Cursor,
    Interruption,
    Page,
    Part,
    Reauthorize,
    Record,
    Reject,
    RetryLater,
)
from shared.contracts.progress import JobProgress, Parts
from shared.contracts.syncs import RefetchItems
from shared.contracts.topics import ITEMS, JOBS
from shared.db import Schema
from tests.support.clock import MovableClock

COUNTS = {"apples": 4, "pears": 4}
TABLES = ("red", "green", "blue")
Pages = Callable[[Cursor | None], Page]


@pytest.fixture
async def fetcher(home: Path | Schema) -> AsyncIterator[Fetcher]:
    """Yield a fetcher whose ``apples`` are a list that names three tables of two pages each."""
    fetcher = Fetcher(home, COUNTS)
    await fetcher.boot()
    fetcher.orchard.roots["apples"] = (Part(id="list", name="the list of tables", lists=True),)
    fetcher.orchard.of_part["list"] = lambda _: Page(records=[], cursor=None, parts=named(*TABLES))
    for table in TABLES:
        fetcher.orchard.of_part[table] = rows(table)
    fetcher.lose_patience()
    yield fetcher
    await fetcher.database.close()


def named(*tables: str) -> tuple[Part, ...]:
    return tuple(Part(id=table, name=f"table “{table}”") for table in tables)


def rows(table: str, pages: int = 2) -> Pages:
    def page(cursor: Cursor | None) -> Page:
        n = number_of(cursor)
        record = Record(id=f"apples-{table}-{n}", name=table, raw={"n": n})
        return Page(records=[record], cursor={"n": n + 1} if n + 1 < pages else None)

    return page


def refusing(error: Callable[[], Interruption], *, since: int = 0, pages: int = 2) -> Pages:
    """Return the pages of "green"; those from number ``since`` on raise ``error`` instead."""
    read = rows("green", pages)

    def page(cursor: Cursor | None) -> Page:
        if number_of(cursor) >= since:
            raise error()
        return read(cursor)

    return page


def refused() -> Interruption:
    return Reject("Orchard refused it.", code="forbidden", remedy="Share the table.")


def down() -> Interruption:
    return RetryLater("Orchard is not available (status 502).")


def parts_of(told: JobProgress) -> Parts:
    assert told.receipt is not None
    assert told.receipt.parts is not None
    return told.receipt.parts


def live(fetcher: Fetcher) -> list[str]:
    return sorted(id_.removeprefix("apples-") for id_ in fetcher.log.live_items()["apples"])


ALL = sorted(f"{table}-{n}" for table in TABLES for n in range(2))
BUT_GREEN = [id_ for id_ in ALL if not id_.startswith("green")]


async def test_a_walk_reads_every_part_that_a_page_names(fetcher: Fetcher) -> None:
    told = (await loaded(fetcher))["apples"]
    assert (told.state, told.items, live(fetcher)) == ("done", 6, ALL)
    assert parts_of(told).by_outcome == {"done": 4}


@pytest.mark.parametrize("error", [refused, down])
async def test_a_part_that_fails_is_named_and_stops_no_other(
    fetcher: Fetcher, error: Callable[[], Interruption]
) -> None:
    fetcher.orchard.of_part["green"] = refusing(error)
    told = (await loaded(fetcher))["apples"]
    assert (told.state, live(fetcher)) == ("incomplete", BUT_GREEN)
    (only,) = parts_of(told).named
    assert (only.part, only.name, only.outcome, only.code) == (
        "green",
        "table “green”",
        "failed",
        error().code,
    )
    assert error().reason in only.detail
    assert only.remedy == (refused().remedy if error is refused else GOES_ON)
    assert told.error is not None
    assert "1 of 4 parts could not be read whole. Table “green”: " in told.error.detail


async def test_a_refusal_is_tried_once_more_at_the_end(fetcher: Fetcher) -> None:
    asked: list[Cursor | None] = []

    def once(cursor: Cursor | None) -> Page:
        asked.append(cursor)
        if len(asked) == 2:
            raise refused()
        return rows("green")(cursor)

    fetcher.orchard.of_part["green"] = once
    told = (await loaded(fetcher))["apples"]
    assert (told.state, live(fetcher)) == ("done", ALL)
    assert asked == [None, {"n": 1}, {"n": 1}], "at the place where it was refused"


async def test_while_a_part_is_refused_what_is_gone_from_others_is_deleted_and_nothing_else(
    fetcher: Fetcher,
) -> None:
    await loaded(fetcher)
    fetcher.orchard.of_part["green"] = refusing(refused)
    fetcher.orchard.of_part["red"] = rows("red", pages=1)
    assert (await loaded(fetcher, "again"))["apples"].state == "incomplete"
    assert live(fetcher) == [id_ for id_ in ALL if id_ != "red-1"]
    assert fetcher.orchard.read_ids == [("apples-red-1", "apples-red-0")]


def since(told: JobProgress) -> dict[str, str | None]:
    """Return part → since when it is stale."""
    ended = parts_of(told)
    return {one.part: one.stale_since for one in (*ended.named, *ended.unreached)}


async def test_the_first_hundred_parts_that_fail_are_named_and_all_are_counted(
    fetcher: Fetcher,
) -> None:
    tables = [f"table-{n:03}" for n in range(MOST_NAMED + 20)]
    fetcher.orchard.of_part["list"] = lambda _: Page(records=[], cursor=None, parts=named(*tables))
    fetcher.orchard.of_part |= dict.fromkeys(tables, refusing(refused))
    told = parts_of((await loaded(fetcher))["apples"])
    assert told.by_outcome == {"done": 1, "failed": MOST_NAMED + 20}
    assert [one.part for one in told.named] == tables[:MOST_NAMED]


async def test_a_part_is_stale_since_it_was_last_read_completely(fetcher: Fetcher) -> None:
    assert since((await loaded(fetcher))["apples"]) == {}
    fetcher.orchard.of_part["green"] = refusing(refused, since=1)
    first = since((await loaded(fetcher, "refused"))["apples"])["green"] or ""
    second = since((await loaded(fetcher, "refused again"))["apples"])["green"]
    assert first
    assert second == first
    fetcher.orchard.of_part["green"] = rows("green")
    assert since((await loaded(fetcher, "healed"))["apples"]) == {}
    fetcher.orchard.of_part["green"] = refusing(refused)
    third = since((await loaded(fetcher, "refused later"))["apples"])["green"] or ""
    assert first < third


async def test_a_part_that_was_never_read_completely_is_stale_since_no_time(
    fetcher: Fetcher,
) -> None:
    fetcher.orchard.of_part["green"] = refusing(refused, since=1)
    assert since((await loaded(fetcher))["apples"]) == {"green": None}
    assert since((await loaded(fetcher, "again"))["apples"]) == {"green": None}


async def test_what_a_refused_list_used_to_name_is_stale_and_what_it_no_longer_names_is_not(
    fetcher: Fetcher,
) -> None:
    await loaded(fetcher)
    listed, fetcher.orchard.of_part["list"] = fetcher.orchard.of_part["list"], refusing(refused)
    told = (await loaded(fetcher, "refused"))["apples"]
    assert sorted(one.part for one in parts_of(told).unreached) == sorted(TABLES)
    assert None not in [since(told)[table] for table in TABLES]
    assert live(fetcher) == ALL
    fetcher.orchard.of_part["list"] = listed
    assert since((await loaded(fetcher, "healed"))["apples"]) == {}
    fetcher.orchard.of_part |= {
        "list": lambda _: Page(records=[], cursor=None, parts=named("red", "blue")),
        "red": refusing(refused),
    }
    assert since((await loaded(fetcher, "without green"))["apples"]).keys() == {"red"}


async def test_a_part_that_was_given_up_goes_on_at_its_place_at_the_next_load(
    fetcher: Fetcher,
) -> None:
    fetcher.orchard.of_part["green"] = refusing(down, since=3, pages=5)
    assert (await loaded(fetcher))["apples"].state == "incomplete"
    asked: list[Cursor | None] = []

    def healthy(cursor: Cursor | None) -> Page:
        asked.append(cursor)
        return rows("green", 5)(cursor)

    fetcher.orchard.of_part["green"] = healthy
    told = (await loaded(fetcher, "again"))["apples"]
    assert told.state == "done"
    assert asked == [{"n": 3}, {"n": 4}]
    assert live(fetcher) == sorted({*ALL, *(f"green-{n}" for n in range(5))})


def as_of(told: JobProgress) -> datetime:
    assert told.receipt is not None
    assert told.receipt.as_of is not None
    return datetime.fromisoformat(told.receipt.as_of)


async def test_a_walk_with_a_page_older_than_an_hour_is_followed_by_one_in_the_background(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    fetcher.orchard.of_part["green"] = refusing(down, since=1)
    begun_at = as_of((await loaded(fetcher))["apples"])
    fetcher.orchard.of_part["green"] = rows("green")
    movable_clock.move(hours=2)
    resumed_at = as_of((await loaded(fetcher, "again"))["apples"])
    assert begun_at <= resumed_at < begun_at + timedelta(hours=1)
    async with fetcher.database.read() as db:
        followed = await queries.find(db, jobs.c.background)
    assert [(job.resource, job.outcome) for job in followed] == [("apples", "done")]
    assert as_of((await loaded(fetcher, "whole"))["apples"]) > begun_at + timedelta(hours=1)


async def test_an_incomplete_walk_with_an_old_page_is_followed_once(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    def slow(_: Cursor | None) -> Page:
        movable_clock.move(hours=2)
        raise refused()

    fetcher.orchard.of_part["green"] = slow
    assert (await loaded(fetcher))["apples"].state == "incomplete"
    async with fetcher.database.read() as db:
        followed = await queries.find(db, jobs.c.background, jobs.c.resource == "apples")
    assert [job.outcome for job in followed] == ["incomplete"]


async def test_a_place_that_is_too_old_is_not_gone_on_from(fetcher: Fetcher) -> None:
    """The cursors of the walk that was cut short come again, which is not a loop."""
    fetcher.orchard.of_part["green"] = refusing(down, since=3, pages=5)
    await loaded(fetcher)
    async with fetcher.database.write() as db:
        await db.execute(update(parts).values(read_at=1.0))
    asked: list[Cursor | None] = []

    def healthy(cursor: Cursor | None) -> Page:
        asked.append(cursor)
        return rows("green", 5)(cursor)

    fetcher.orchard.of_part["green"] = healthy
    assert (await loaded(fetcher, "again"))["apples"].state == "done"
    assert len(asked) == 5


async def test_what_a_part_that_goes_on_had_named_is_read_too(fetcher: Fetcher) -> None:
    """A row of a wiki may be a table. It was named on a page that is not read again."""
    down_at: list[int] = [1]

    def wiki(cursor: Cursor | None) -> Page:
        n = number_of(cursor)
        if n in down_at:
            raise down()
        page = rows("green", 3)(cursor)
        return Page(records=page.records, cursor=page.cursor, parts=named("inner")[: n == 0])

    fetcher.orchard.of_part["green"] = wiki
    fetcher.orchard.of_part["inner"] = rows("inner")
    assert (await loaded(fetcher))["apples"].state == "incomplete"
    down_at.clear()
    fetcher.orchard.of_part["inner"] = rows("inner", 3)
    told = (await loaded(fetcher, "again"))["apples"]
    assert (told.state, "inner-2" in live(fetcher)) == ("done", True)


async def test_a_part_that_is_named_twice_is_read_once(fetcher: Fetcher) -> None:
    fetcher.orchard.of_part["list"] = lambda cursor: Page(
        records=[],
        cursor={"n": 1} if cursor is None else None,
        parts=named("red", "red", "green"),
    )
    told = (await loaded(fetcher))["apples"]
    assert (told.state, told.items, told.pages) == ("done", 4, 6)


async def test_an_account_without_anything_is_done(fetcher: Fetcher) -> None:
    fetcher.orchard.of_part["list"] = lambda _: Page(records=[], cursor=None)
    assert (await loaded(fetcher))["apples"].state == "done"


async def test_a_job_of_which_nothing_was_read_has_failed(fetcher: Fetcher) -> None:
    fetcher.orchard.of_part["list"] = refusing(refused)
    told = (await loaded(fetcher))["apples"]
    assert (told.state, code(told)) == ("failed", "forbidden")


@pytest.mark.parametrize(
    "error",
    [
        Reauthorize("Orchard no longer accepts the access token."),
        Reject("Orchard has blocked the connection.", code="blocked", everything=True),
    ],
)
async def test_what_concerns_all_parts_ends_the_job_at_once_and_its_place_is_kept(
    fetcher: Fetcher, error: Interruption
) -> None:
    fetcher.orchard.of_part["green"] = refusing(lambda: error, since=1)
    told = (await loaded(fetcher))["apples"]
    assert (told.state, code(told)) == ("incomplete", error.code)
    assert live(fetcher) == ["blue-0", "blue-1", "green-0"], "parts of a page come by their ids"
    fetcher.orchard.of_part["green"] = refusing(lambda: error, since=9)
    assert (await loaded(fetcher, "again"))["apples"].state == "done"
    assert live(fetcher) == ALL


async def test_two_parts_in_a_row_that_do_not_get_through_have_the_job_wait(
    fetcher: Fetcher,
) -> None:
    """With a thousand tables and a provider that is down, we do not make a thousand calls."""
    object.__setattr__(fetcher.context, "give_up_after_s", GIVE_UP_AFTER_S)
    asked: list[str] = []

    def away(table: str) -> Pages:
        def page(_: Cursor | None) -> Page:
            asked.append(table)
            raise RetryLater("Orchard is not available (status 502).", after_s=60.0)

        return page

    for table in TABLES:
        fetcher.orchard.of_part[table] = away(table)
    await fetcher.connect(1)
    await fetcher.relay_once()
    await fetcher.deliver()
    await fetcher.deliver()
    await fetcher.settle()
    (job,) = [job for job in await fetcher.unfinished() if job.resource == "apples"]
    assert (job.state, job.waiting_reason, len(asked)) == (
        "waiting",
        "Orchard is not available (status 502).",
        2,
    )


async def test_two_parts_that_are_given_up_one_after_the_other_leave_the_others_to_be_read(
    fetcher: Fetcher,
) -> None:
    fetcher.orchard.of_part |= {"blue": refusing(down), "green": refusing(down)}
    told = (await loaded(fetcher))["apples"]
    assert live(fetcher) == ["red-0", "red-1"]
    assert (parts_of(told).total, parts_of(told).by_outcome) == (4, {"done": 2, "failed": 2})


async def test_each_refused_part_is_tried_again_though_others_were_given_up(
    fetcher: Fetcher,
) -> None:
    asked: Counter[str] = Counter()

    def counting(table: str, error: Callable[[], Interruption]) -> Pages:
        def page(_: Cursor | None) -> Page:
            asked[table] += 1
            raise error()

        return page

    tables = {"a1": refused, "a2": refused, "b1": down, "b2": down}
    fetcher.orchard.of_part["list"] = lambda _: Page(records=[], cursor=None, parts=named(*tables))
    for table, error in tables.items():
        fetcher.orchard.of_part[table] = counting(table, error)
    told = (await loaded(fetcher))["apples"]
    assert (asked["a1"], asked["a2"], len(parts_of(told).named)) == (2, 2, 4)


async def test_parts_whose_limit_is_used_up_for_good_hold_up_no_others(fetcher: Fetcher) -> None:
    def limited(_: Cursor | None) -> Page:
        raise RetryLater("Its limit is used up.", code="rate_limited", after_s=30.0, limit=True)

    fetcher.orchard.of_part |= {"blue": limited, "green": limited}
    await fetcher.connect(1)
    for _ in range(30):
        await fetcher.time_passes()
        await fetcher.relay_once()
        while fetcher.read < len(fetcher.log.of(JOBS)):
            await fetcher.deliver()
        await fetcher.settle()
    assert live(fetcher) == ["red-0", "red-1"]


async def test_a_walk_that_went_on_in_the_middle_deletes_nothing_that_has_moved(
    fetcher: Fetcher,
) -> None:
    """An item may have moved to a page before the place where the walk resumed."""
    moved = Record(id="apples-moved", name="moved", raw={})
    home, dead = "red", False

    def table(name: str, pages: int) -> Pages:
        def page(cursor: Cursor | None) -> Page:
            if name == "green" and dead and number_of(cursor) == 1:
                raise Reauthorize("Orchard no longer accepts the access token.")
            found = rows(name, pages)(cursor)
            also = [moved] if name == home and cursor is None else []
            return Page(records=[*found.records, *also], cursor=found.cursor)

        return page

    fetcher.orchard.of_part |= {"green": table("green", 3), "red": table("red", 2)}
    fetcher.orchard.ids["apples"].append(moved.id)
    await loaded(fetcher)
    dead = True
    assert (await loaded(fetcher, "broken off"))["apples"].state == "incomplete"
    dead, home = False, "green"
    assert (await loaded(fetcher, "goes on"))["apples"].state == "done"
    assert "moved" in live(fetcher)
    fetcher.orchard.of_part["red"] = rows("red", 1)
    assert (await loaded(fetcher, "whole"))["apples"].state == "done"
    assert "moved" in live(fetcher)
    assert "red-1" not in live(fetcher)


async def test_nobody_goes_on_behind_what_was_deleted(fetcher: Fetcher) -> None:
    """A table is given up in the middle, is not listed at the next load, and then comes back."""
    fetcher.orchard.of_part["green"] = refusing(down, since=3, pages=5)
    await loaded(fetcher)
    listed = fetcher.orchard.of_part["list"]
    fetcher.orchard.of_part["list"] = lambda _: Page(
        records=[], cursor=None, parts=named("red", "blue")
    )
    assert (await loaded(fetcher, "without"))["apples"].state == "done"
    assert [id_ for id_ in live(fetcher) if "green" in id_] == []
    fetcher.orchard.of_part |= {"list": listed, "green": rows("green", 5)}
    assert (await loaded(fetcher, "back"))["apples"].state == "done"
    assert [id_ for id_ in live(fetcher) if "green" in id_] == [f"green-{n}" for n in range(5)]


async def test_what_readers_may_have_wrong_is_sent_though_a_part_could_go_on(
    fetcher: Fetcher,
) -> None:
    fetcher.orchard.of_part["green"] = refusing(down, since=3, pages=5)
    await loaded(fetcher)
    await fetcher.connect(2, status="reauth_required")
    request = RefetchItems(
        connection_id="conn", resource="apples", ids=("apples-green-0",), highest_version=1
    )
    async with fetcher.database.write(lock="conn") as db:
        await plan_refetch(db, request, providers={"orchard": fetcher.provider})
    await fetcher.connect(3, sync="again")
    fetcher.orchard.of_part["green"] = rows("green", 5)
    since = len(fetcher.log.messages)
    await fetcher.run_until_over()
    assert "apples-green-0" in fetcher.sent(ITEMS, since)


async def test_a_limit_of_pages_holds_for_parts_of_one_page_too(tmp_path: Path) -> None:
    fetcher = Fetcher(tmp_path, COUNTS, max_pages=3)
    await fetcher.boot()
    tables = [f"t{number:02}" for number in range(20)]
    fetcher.orchard.roots["apples"] = (Part(id="list", name="the list", lists=True),)
    fetcher.orchard.of_part["list"] = lambda _: Page(records=[], cursor=None, parts=named(*tables))
    for table in tables:
        fetcher.orchard.of_part[table] = rows(table, 1)
    told = (await loaded(fetcher))["apples"]
    assert (told.state, code(told), told.pages) == ("incomplete", "max_pages", 3)
    await fetcher.database.close()


async def test_a_name_that_no_database_can_hold_is_shortened(home: Path | Schema) -> None:
    fetcher = Fetcher(home, COUNTS)
    await fetcher.boot()
    fetcher.orchard.roots["apples"] = (Part(id="red", name="A\0B" + "x" * 900),)
    fetcher.orchard.of_part["red"] = rows("red")
    assert (await loaded(fetcher))["apples"].state == "done"
    await fetcher.database.close()
