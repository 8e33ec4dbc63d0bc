"""A walk over pages that are not as they should be always has a visible outcome."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.fetcher.tests.crashing import Fetcher
from shared.connector import (
    LONGEST_CURSOR,
    Cursor,
    Page,
    Record,
    Reject,
    Rejected,
    Restart,
    RetryLater,
)
from shared.contracts.progress import JobProgress
from shared.contracts.topics import ITEMS, dead_letters
from shared.db import Schema

COUNTS = {"apples": 10, "pears": 4}
Make = Callable[..., Any]


@pytest.fixture
async def fetcher(home: Path | Schema) -> AsyncIterator[Fetcher]:
    fetcher = Fetcher(home, COUNTS)
    await fetcher.boot()
    yield fetcher
    await fetcher.database.close()


async def loaded(fetcher: Fetcher, sync: str = "sync-1") -> dict[str, JobProgress]:
    """Load to the end; return resource → the last progress that the sync is told."""
    if sync == "sync-1":
        await fetcher.connect(1)
    else:
        await fetcher.ask(sync)
    await fetcher.run_until_over()
    return {
        resource: told for (of, resource), told in fetcher.newest_progress().items() if of == sync
    }


def apple(number: int, name: str = "apple") -> Record:
    return Record(id=f"apples-{number:03}", name=name, raw={"n": number})


def number_of(cursor: Cursor | None) -> int:
    return int(cursor["n"]) if cursor else 0


def code(told: JobProgress) -> str | None:
    return told.error.code if told.error else None


async def test_T22_the_same_cursor_again_ends_the_part_visibly(fetcher: Fetcher) -> None:
    fetcher.orchard.script["apples"] = lambda _: Page(records=[apple(1)], cursor={"n": 1})
    told = await loaded(fetcher)
    assert (told["apples"].state, code(told["apples"])) == ("incomplete", "cursor_loop")
    asked = [cursor for resource, cursor in fetcher.orchard.asked if resource == "apples"]
    assert asked == [None, {"n": 1}]
    assert (told["pears"].state, told["pears"].items) == ("done", 4)


async def test_T22_a_cycle_of_cursors_ends_the_part_visibly(fetcher: Fetcher) -> None:
    def page(cursor: Cursor | None) -> Page:
        return Page(records=[apple(number_of(cursor))], cursor={"n": 1 + number_of(cursor) % 3})

    fetcher.orchard.script["apples"] = page
    told = await loaded(fetcher)
    assert (told["apples"].state, code(told["apples"])) == ("incomplete", "cursor_loop")
    assert told["pears"].state == "done"


async def test_T22_empty_pages_that_promise_more_for_ever_end_the_part_visibly(
    tmp_path: Path,
) -> None:
    fetcher = Fetcher(tmp_path, COUNTS, most_empty=20)
    await fetcher.boot()
    fetcher.orchard.script["apples"] = lambda cursor: Page(
        records=[], cursor={"n": number_of(cursor) + 1}
    )
    told = await loaded(fetcher)
    assert (told["apples"].state, code(told["apples"]), told["apples"].pages) == (
        "incomplete",
        "empty_pages",
        20,
    )
    await fetcher.database.close()


async def test_a_cursor_that_is_too_large_to_keep_ends_the_part_visibly(fetcher: Fetcher) -> None:
    def page(cursor: Cursor | None) -> Page:
        n = number_of(cursor)
        room = LONGEST_CURSOR - len('{"n":1,"pad":""}') + n
        return Page(records=[apple(n)], cursor={"n": n + 1, "pad": "x" * room})

    fetcher.orchard.script["apples"] = page
    told = await loaded(fetcher)
    assert (told["apples"].state, code(told["apples"])) == ("incomplete", "cursor_too_large")
    assert (told["apples"].pages, told["apples"].items) == (2, 2), "the first cursor just fits"
    assert told["pears"].state == "done"


async def test_empty_pages_with_new_cursors_are_no_loop(fetcher: Fetcher) -> None:
    def page(cursor: Cursor | None) -> Page:
        n = number_of(cursor)
        records = [apple(n)] if n > 12 else []
        return Page(records=records, cursor={"n": n + 1} if n < 15 else None)

    fetcher.orchard.script["apples"] = page
    told = (await loaded(fetcher))["apples"]
    assert (told.state, told.items) == ("done", 3)


async def test_odd_fields_beside_the_content_are_counted_by_name(fetcher: Fetcher) -> None:
    def page(cursor: Cursor | None) -> Page:
        n = number_of(cursor)
        odd = msgspec.structs.replace(apple(n), odd=("created_time", "url"))
        return Page(records=[odd, apple(n + 10)], cursor={"n": n + 1} if n < 2 else None)

    fetcher.orchard.script["apples"] = page
    told = (await loaded(fetcher))["apples"]
    assert (told.state, told.items) == ("done", 6)
    assert told.receipt is not None
    assert told.receipt.odd_fields == {"created_time": 3, "url": 3}


async def test_T21_a_record_that_cannot_be_read_is_kept_and_deletes_nothing(
    fetcher: Fetcher,
) -> None:
    await loaded(fetcher)
    since = len(fetcher.log.messages)
    bad = Rejected(pointer="/results/1", reason="has no id", raw=b'{"id": null}')
    fetcher.orchard.script["apples"] = lambda _: Page(
        records=[apple(1)], rejected=[bad], cursor=None
    )
    told = (await loaded(fetcher, "again"))["apples"]
    assert (told.state, code(told)) == ("incomplete", "records_dropped")
    assert told.receipt is not None
    assert (told.receipt.dropped, told.receipt.drop_reasons, told.receipt.deleted) == (
        1,
        {"malformed_record": 1},
        0,
    )
    (letter,) = fetcher.log.of(dead_letters(ITEMS))
    headers = dict(letter.headers)
    assert letter.value == bad.raw
    assert (headers["dlq_pointer"], headers["dlq_error"]) == (
        b"/results/1",
        b"malformed_record: has no id",
    )
    assert set(fetcher.sent(ITEMS, since)) == {"apples-001"}
    assert len(fetcher.log.live_items()["apples"]) == 10


async def test_a_record_that_cannot_be_read_makes_one_dead_letter_until_its_bytes_change(
    fetcher: Fetcher,
) -> None:
    def bad(raw: bytes) -> None:
        rejected = [Rejected(pointer="/results/1", reason="has no id", raw=raw)]
        fetcher.orchard.script["apples"] = lambda _: Page(
            records=[apple(1)], rejected=rejected, cursor=None
        )

    def letters() -> list[bytes | None]:
        return [letter.value for letter in fetcher.log.of(dead_letters(ITEMS))]

    bad(b"old")
    for sync in ("sync-1", "again", "and again"):
        told = (await loaded(fetcher, sync))["apples"]
        assert (told.state, told.receipt and told.receipt.dropped) == ("incomplete", 1)
    assert letters() == [b"old"]
    bad(b"new")
    await loaded(fetcher, "changed")
    bad(b"old")
    await loaded(fetcher, "as before")
    assert letters() == [b"old", b"new", b"old"], "what a walk did not meet is forgotten"


async def test_T21_a_receipt_counts_any_number_of_reasons_by_their_code(fetcher: Fetcher) -> None:
    bad = [
        Rejected(pointer=f"/{n}", reason=f"{n} {'x' * 9000}", raw=b"x" * 2_000_000)
        for n in range(30)
    ]
    fetcher.orchard.script["apples"] = lambda _: Page(records=[], rejected=bad, cursor=None)
    told = (await loaded(fetcher))["apples"]
    assert told.receipt is not None
    assert told.receipt.drop_reasons == {"malformed_record": 30}


async def test_an_expired_cursor_starts_again_and_doubles_nothing(fetcher: Fetcher) -> None:
    expired: list[int] = []

    def page(cursor: Cursor | None) -> Page:
        n = number_of(cursor)
        if n == 3 and not expired:
            expired.append(n)
            raise Restart("The cursor has expired.")
        return Page(records=[apple(n)], cursor={"n": n + 1} if n < 5 else None)

    fetcher.orchard.script["apples"] = page
    told = (await loaded(fetcher))["apples"]
    assert (told.state, told.items) == ("done", 6)
    assert told.receipt is not None
    assert (told.receipt.restarts, told.receipt.emitted, told.receipt.deleted) == (1, 6, 0)
    apples = {id_: kinds for id_, kinds in fetcher.sent(ITEMS).items() if id_.startswith("apples")}
    assert apples == {f"apples-{n:03}": [True] for n in range(6)}


async def test_a_cursor_that_always_expires_ends_the_part(fetcher: Fetcher) -> None:
    fetcher.lose_patience()

    def page(cursor: Cursor | None) -> Page:
        if cursor:
            raise Restart("The cursor has expired.")
        return Page(records=[apple(1)], cursor={"n": 1})

    fetcher.orchard.script["apples"] = page
    told = (await loaded(fetcher))["apples"]
    assert (told.state, code(told)) == ("incomplete", "cursor_expired")


async def test_a_page_limit_is_an_outcome_with_its_reason_and_deletes_nothing(
    tmp_path: Path,
) -> None:
    fetcher = Fetcher(tmp_path, COUNTS)
    await fetcher.boot()
    await loaded(fetcher)
    await fetcher.kill()
    limited = Fetcher(fetcher.place, COUNTS, max_pages=2)
    await limited.boot()
    told = await loaded(limited, "again")
    assert (told["apples"].state, code(told["apples"]), told["apples"].pages) == (
        "incomplete",
        "max_pages",
        2,
    )
    assert "TRIBUTARY_MAX_PAGES" in (told["apples"].error.detail if told["apples"].error else "")
    assert told["pears"].state == "done"
    assert limited.sent(ITEMS) == {}
    await limited.database.close()


async def test_nothing_goes_on_counting_at_a_provider_that_told_the_page_to_wait(
    fetcher: Fetcher,
) -> None:
    def late(_: Cursor | None) -> Page:
        raise RetryLater(
            "Orchard's limit is reached.", code="rate_limited", after_s=30.0, limit=True
        )

    fetcher.orchard.counts.gate = asyncio.Event()
    fetcher.orchard.script = {"apples": late, "pears": late}
    tasks = asyncio.all_tasks()
    await fetcher.connect(1)
    await fetcher.relay_once()
    await fetcher.deliver()
    await fetcher.deliver()
    await fetcher.settle()
    assert {job.state for job in await fetcher.unfinished()} == {"waiting"}
    assert asyncio.all_tasks() == tasks


async def test_a_refused_resource_names_its_scope_and_the_others_finish(fetcher: Fetcher) -> None:
    def refused(_: Cursor | None) -> Page:
        raise Reject("Orchard did not allow it.", code="missing_scope", scope="apples.read")

    fetcher.orchard.script["apples"] = refused
    told = await loaded(fetcher)
    assert told["apples"].state == "failed"
    assert told["apples"].error is not None
    assert told["apples"].error.scope == "apples.read"
    assert told["pears"].state == "done"


async def test_an_object_twice_on_a_page_counts_once_as_it_came_last(fetcher: Fetcher) -> None:
    twice = [apple(1, "old"), apple(2), apple(1, "new")]
    fetcher.orchard.script["apples"] = lambda _: Page(records=twice, cursor=None)
    told = (await loaded(fetcher))["apples"]
    assert told.items == 2
    sent = [
        message.value or b""
        for message in fetcher.log.of(ITEMS)
        if message.key.endswith(b"apples-001")
    ]
    assert [b'"new"' in value for value in sent] == [True]


async def test_items_too_large_for_a_message_travel_without_their_raw_part(
    fetcher: Fetcher,
) -> None:
    huge = Record(id="apples-001", name="x" * 2_000_000, raw={"text": "y" * 2_000_000})
    fetcher.orchard.script["apples"] = lambda _: Page(records=[huge], cursor=None)
    told = (await loaded(fetcher))["apples"]
    assert told.state == "done"
    assert told.receipt is not None
    assert told.receipt.oversized == 1
    (value,) = [
        message.value or b"" for message in fetcher.log.of(ITEMS) if b"apples" in message.key
    ]
    assert b'"raw":null,"raw_bytes":4000' in value
    assert len(value) < 20_000


async def test_a_count_that_was_not_told_is_asked_for_again(fetcher: Fetcher) -> None:
    fetcher.orchard.counts.failing = 3
    fetcher.orchard.counts.ids = fetcher.orchard.ids
    # Alone: with two pages, the pears could be over before their count is told.
    await fetcher.connect(1, resources=("apples",))
    await fetcher.run_until_over()
    assert fetcher.newest_progress()["sync-1", "apples"].expected == COUNTS["apples"]
