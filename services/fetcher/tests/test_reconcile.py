"""A walk that has read fewer objects than the provider counts looks for the others by id."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import pytest

from services.fetcher.reconcile import MOST_ASKED, PATIENCE_S, SETTLED_S
from services.fetcher.tests.crashing import Fetcher, orchard_of
from services.fetcher.tests.test_walks import code
from services.fetcher.unconfirmed import CONTROLS
from shared import clock
from shared.connector import (
    Cursor,
    Lookup,
    Page,
    Reauthorize,
    Record,
    Reject,
    Rejected,
    RetryLater,
    Span,
)
from shared.contracts.envelope import timestamp
from shared.contracts.progress import JobProgress, Receipt
from shared.contracts.topics import ITEMS
from shared.db import Schema
from tests.support.clock import MovableClock

FIRST = 90_000
MANY = 300
UNAVAILABLE = "Orchard is not available (status 503)."


@pytest.fixture
async def fetcher(movable_clock: MovableClock, tmp_path: Path) -> AsyncIterator[Fetcher]:
    async with served(tmp_path) as one:
        yield one


@asynccontextmanager
async def served(where: Path | Schema, many: int = MANY) -> AsyncIterator[Fetcher]:
    """Yield a fetcher for apples with decimal ids, all of which are counted."""
    provider = orchard_of(["apples"], page_size=1000)
    fetcher = Fetcher(where, {"apples": 0}, provider=provider)
    fetcher.orchard.ids["apples"] = [str(FIRST + 7 * n) for n in range(many)]
    fetcher.orchard.counts.ids["apples"] = list(fetcher.orchard.ids["apples"])
    fetcher.orchard.size = max(100, many // 5)
    fetcher.orchard.of_missing = "refused"
    await fetcher.boot()
    try:
        yield fetcher
    finally:
        await fetcher.database.close()


async def synced(
    fetcher: Fetcher, movable_clock: MovableClock, *, sync: str = "sync-1", step_s: float = 4.0
) -> JobProgress:
    """Sync to the end, letting time pass while the job waits; return the last progress."""
    if sync == "sync-1":
        await fetcher.connect(1)
    else:
        await fetcher.ask(sync)
    for _ in range(2000):
        await fetcher.relay_once()
        while fetcher.read < len(fetcher.log.of("tributary.jobs.v1")):
            await fetcher.deliver()
        await fetcher.settle()
        if not await fetcher.unfinished():
            break
        movable_clock.move(seconds=step_s)
    await fetcher.relay_once()
    return fetcher.newest_progress()[sync, "apples"]


def receipt(told: JobProgress) -> Receipt:
    assert told.receipt is not None, told
    return told.receipt


def counts(told: JobProgress) -> tuple[str, int | None, int | None, bool | None]:
    found = receipt(told)
    return told.state, found.counted_before, found.counted_after, found.reconciled


def looked_for(fetcher: Fetcher) -> list[str]:
    """Return the ids that were read one by one, without the controls at the end of each lookup."""
    return sorted(id_ for ids in fetcher.orchard.read_ids for id_ in ids[:-CONTROLS])


async def test_a_walk_that_covers_the_count_is_done_at_once_and_counted_once(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    told = await synced(fetcher, movable_clock)
    assert counts(told) == ("done", MANY, None, True)
    assert fetcher.orchard.counts.counted == [None]


async def test_what_a_list_has_lost_is_found_by_id_once_the_count_has_settled(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    orchard = fetcher.orchard
    every = orchard.ids["apples"]
    orchard.hidden = {every[3], every[150], every[299]}
    began = clock.now()
    told = await synced(fetcher, movable_clock)
    assert counts(told) == ("done", MANY, MANY, True)
    assert (told.items, receipt(told).ghosts) == (MANY, 0)
    assert set(fetcher.log.live_items()["apples"]) == set(every)
    assert clock.now() - began >= SETTLED_S
    assert looked_for(fetcher) == sorted(orchard.hidden)


async def test_one_of_very_many_is_found_by_halving(
    home: Path | Schema, movable_clock: MovableClock
) -> None:
    async with served(home, many=2200) as fetcher:
        orchard = fetcher.orchard
        orchard.hidden = {orchard.ids["apples"][1821]}
        told = await synced(fetcher, movable_clock)
        assert counts(told) == ("done", 2200, 2200, True)
        assert set(fetcher.log.live_items()["apples"]) == set(orchard.ids["apples"])
        halves = [span for span in orchard.counts.counted if span is not None and span.end]
        assert halves == [Span("0", orchard.ids["apples"][1099])]
        assert {span.first for span in orchard.counts.listed} >= {orchard.ids["apples"][1099]}
        assert all(int(span.first) >= int(halves[0].end or 0) for span in orchard.counts.listed)


async def test_an_index_that_has_lost_a_share_deletes_nothing(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    every = fetcher.orchard.ids["apples"]
    await synced(fetcher, movable_clock)
    fetcher.orchard.counts.ids["apples"] = every[::2]
    told = await synced(fetcher, movable_clock, sync="lost")
    assert counts(told) == ("done", MANY // 2, None, True)
    assert set(fetcher.log.live_items()["apples"]) == set(every)


async def test_what_the_index_has_and_no_read_finds_is_a_ghost(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    fetcher.orchard.counts.ids["apples"] += ["90001", "5", "999999999999"]
    told = await synced(fetcher, movable_clock)
    assert counts(told) == ("done", MANY + 3, MANY + 3, True)
    assert receipt(told).ghosts == 3
    assert len(fetcher.log.live_items()["apples"]) == MANY


async def test_what_is_archived_during_the_walk_is_not_missing(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    orchard = fetcher.orchard
    gone = orchard.ids["apples"][-1]

    def archive(_: object) -> None:
        if gone in orchard.ids["apples"] and orchard.counts.counted:
            orchard.ids["apples"].remove(gone)
            orchard.counts.ids["apples"].remove(gone)

    orchard.weighs = archive
    told = await synced(fetcher, movable_clock)
    assert counts(told) == ("done", MANY, MANY - 1, True)
    assert orchard.read_ids == []


async def test_what_is_created_during_the_walk_does_not_make_up_for_what_is_missing(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    orchard = fetcher.orchard
    every = list(orchard.ids["apples"])

    def page(cursor: Cursor | None) -> Page:
        old = [Record(id=id_, name=id_, raw={}) for id_ in every if id_ != every[9]]
        now = timestamp(clock.now() + 1)
        young = [Record(id=id_, name="young", raw={}, created_at=now) for id_ in ("7", "8")]
        orchard.counts.ids["apples"] += [record.id for record in young]
        return Page(records=[*old, *young], cursor=None)

    orchard.script["apples"] = page
    told = await synced(fetcher, movable_clock)
    assert counts(told) == ("done", MANY, MANY + 2, True)
    assert every[9] in fetcher.log.live_items()["apples"]
    assert receipt(told).created_meanwhile == 2


@pytest.mark.parametrize("lost", [True, False])
async def test_what_a_young_object_makes_up_for_in_each_range_is_found_in_the_list_of_all(
    movable_clock: MovableClock, tmp_path: Path, lost: bool
) -> None:
    """If none is lost, the young one was counted: the provider's clock is ahead of ours."""
    async with served(tmp_path, many=2200) as fetcher:
        orchard = fetcher.orchard
        every = list(orchard.ids["apples"])
        hidden = every[1821] if lost else None
        young = str(FIRST + 7 * 3000)

        def page(_: Cursor | None) -> Page:
            old = [Record(id=id_, name=id_, raw={}) for id_ in every if id_ != hidden]
            now = timestamp(clock.now() + 1)
            return Page(
                records=[*old, Record(id=young, name="young", raw={}, created_at=now)], cursor=None
            )

        orchard.script["apples"] = page
        orchard.counts.ids["apples"].append("5")
        if not lost:
            orchard.counts.ids["apples"].append(young)
        counted = len(orchard.counts.ids["apples"])
        told = await synced(fetcher, movable_clock)
        assert counts(told) == ("done", counted, counted, True)
        assert (receipt(told).created_meanwhile, receipt(told).ghosts) == (1, 1)
        assert set(fetcher.log.live_items()["apples"]) == {*every, young}


async def test_what_is_archived_since_an_earlier_walk_does_not_make_up_for_what_is_missing(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    orchard = fetcher.orchard
    every, broken = list(orchard.ids["apples"]), True

    def page(cursor: Cursor | None) -> Page:
        if cursor is not None and broken:
            raise Reauthorize("Orchard no longer accepts the access token.")
        chosen = every[:150] if cursor is None else every[150:250]
        records = [Record(id=id_, name=id_, raw={}) for id_ in chosen]
        return Page(records=records, cursor={"n": 1} if cursor is None else None)

    orchard.script["apples"] = page
    assert (await synced(fetcher, movable_clock)).state == "incomplete"
    broken = False
    orchard.ids["apples"] = orchard.counts.ids["apples"] = every[50:]
    told = await synced(fetcher, movable_clock, sync="goes on")
    assert counts(told) == ("done", MANY - 50, MANY - 50, True)
    assert set(every[250:]) <= set(fetcher.log.live_items()["apples"])


async def test_a_count_that_is_refused_leaves_the_state_to_the_parts(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    def refused(_: Span | None) -> None:
        raise Reject("Orchard does not allow to count.", code="forbidden")

    fetcher.orchard.counts.weighs = refused
    fetcher.orchard.hidden = {fetcher.orchard.ids["apples"][7]}
    told = await synced(fetcher, movable_clock)
    assert counts(told) == ("done", None, None, False)
    reason = receipt(told).unreconciled_reason
    assert reason == "Orchard's count could not be had: Orchard does not allow to count."
    assert fetcher.orchard.counts.counted == [None]


async def test_a_count_that_fails_before_the_walk_is_taken_after_it(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    orchard = fetcher.orchard
    orchard.counts.failing = 3
    orchard.hidden = {orchard.ids["apples"][7]}
    told = await synced(fetcher, movable_clock)
    assert counts(told) == ("done", None, MANY, True)
    assert told.items == MANY


@pytest.mark.parametrize("after_s", [None, 600.0])
async def test_a_provider_that_fails_to_count_for_an_hour_leaves_the_state_to_the_parts(
    fetcher: Fetcher, movable_clock: MovableClock, after_s: float | None
) -> None:
    def away(span: Span | None) -> None:
        if len(fetcher.orchard.counts.counted) > 1:
            raise RetryLater(UNAVAILABLE, after_s=after_s)

    fetcher.orchard.counts.weighs = away
    fetcher.orchard.hidden = {fetcher.orchard.ids["apples"][7]}
    fetcher.context.stopping.set()  # no wait within a run
    told = await synced(fetcher, movable_clock, step_s=400.0)
    assert counts(told) == ("done", MANY, None, False)
    assert UNAVAILABLE in (receipt(told).unreconciled_reason or "")
    began, ended = (datetime.fromisoformat(at or "") for at in (told.started_at, told.ended_at))
    assert PATIENCE_S <= (ended - began).total_seconds() < 2 * PATIENCE_S


async def test_a_provider_without_counts_says_nothing_of_them(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    del fetcher.orchard.counts.ids["apples"]
    fetcher.orchard.hidden = {fetcher.orchard.ids["apples"][7]}
    told = await synced(fetcher, movable_clock)
    assert counts(told) == ("done", None, None, None)
    assert receipt(told).unreconciled_reason is None


async def test_a_walk_that_could_not_read_all_is_not_compared(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    def refused(cursor: Cursor | None) -> Page:
        if cursor is not None:
            raise Reject("You may not read this.", code="forbidden")
        return Page(records=[Record(id="1", name="1", raw={})], cursor={"from": 1})

    fetcher.orchard.script["apples"] = refused
    told = await synced(fetcher, movable_clock)
    assert counts(told) == ("incomplete", MANY, None, False)
    assert code(told) == "forbidden"
    assert "Not all could be read" in (receipt(told).unreconciled_reason or "")


async def test_the_search_goes_on_in_the_next_run_and_after_a_crash(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    orchard = fetcher.orchard
    orchard.hidden = set(orchard.ids["apples"][20:280])
    fetcher.context.stopping.set()  # so that each run has one step
    told = await synced(fetcher, movable_clock)
    assert counts(told) == ("done", MANY, MANY, True)
    assert set(fetcher.log.live_items()["apples"]) == set(orchard.ids["apples"])
    assert len(orchard.counts.listed) == len(set(orchard.counts.listed)), "nothing is listed twice"
    assert looked_for(fetcher) == sorted(orchard.hidden), "each is read once"


@pytest.mark.parametrize("answers", ["silence", "refusal", "refusals"])
async def test_ids_of_which_nothing_is_learned_make_the_sync_incomplete(
    fetcher: Fetcher, movable_clock: MovableClock, answers: str
) -> None:
    def answer(ids: tuple[str, ...]) -> Lookup:
        if answers == "refusal":
            raise Reject("You may not read this.", code="forbidden")
        # Nothing is found: those that are refused may be there all the same.
        return Lookup(absent=list(ids) if answers == "refusals" else [])

    fetcher.orchard.counts.ids["apples"] += ["90001", "90002"]
    fetcher.orchard.of_ids["apples"] = answer
    told = await synced(fetcher, movable_clock)
    assert counts(told) == ("incomplete", MANY + 2, MANY + 2, False)
    assert code(told) == "count_not_covered"
    assert told.error is not None
    assert "counts 302 apples, but 2 of them could neither be read nor" in told.error.detail


async def test_ids_that_are_counted_and_not_listed_make_the_sync_incomplete(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    lost = fetcher.orchard.ids["apples"][7]
    fetcher.orchard.hidden = {lost}
    fetcher.orchard.counts.unlisted = {lost}
    told = await synced(fetcher, movable_clock)
    assert counts(told) == ("incomplete", MANY, MANY, False)
    assert code(told) == "count_not_covered"


async def test_a_counted_object_that_cannot_be_read_is_a_dropped_record(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    orchard = fetcher.orchard
    odd = orchard.ids["apples"][7]
    orchard.hidden = {odd}
    rejected = [Rejected(pointer="/0", reason="odd", raw=b"{}")]
    orchard.of_ids["apples"] = lambda _: Lookup(rejected=rejected)
    told = await synced(fetcher, movable_clock)
    assert counts(told) == ("incomplete", MANY, MANY, True)
    assert code(told) == "records_dropped"


async def test_the_search_for_very_many_is_given_up_in_words(
    movable_clock: MovableClock, tmp_path: Path
) -> None:
    async with served(tmp_path, many=2 * MOST_ASKED) as fetcher:
        fetcher.orchard.hidden = set(fetcher.orchard.ids["apples"])
        told = await synced(fetcher, movable_clock)
        assert counts(told) == ("incomplete", 2 * MOST_ASKED, 2 * MOST_ASKED, False)
        assert told.items == MOST_ASKED
        assert told.error is not None
        assert f"{MOST_ASKED} of them are missing, too many" in told.error.detail


async def test_what_readers_have_already_is_not_sent_again_when_the_list_loses_it(
    fetcher: Fetcher, movable_clock: MovableClock
) -> None:
    await synced(fetcher, movable_clock)
    since = len(fetcher.log.messages)
    fetcher.orchard.hidden = set(fetcher.orchard.ids["apples"][20:280])
    told = await synced(fetcher, movable_clock, sync="again")
    assert counts(told) == ("done", MANY, MANY, True)
    assert receipt(told).unconfirmed == 0
    assert fetcher.sent(ITEMS, since) == {}
