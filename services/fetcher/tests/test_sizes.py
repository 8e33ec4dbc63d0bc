"""Pages that are too much for a provider get smaller until they get through, then grow again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from services.fetcher.tables import parts
from services.fetcher.tests.crashing import Fetcher
from services.fetcher.tests.stall import Market
from services.fetcher.tests.test_walks import code, loaded
from services.fetcher.walk import GROWS_AFTER
from shared.connector import Interruption, Place, Reject, RetryLater
from shared.db import Schema

COUNTS = {"apples": 600, "pears": 4}
TIMED_OUT = RetryLater("Orchard is not available (status 504).", too_much=True)
TOO_LARGE = Reject("Orchard sent too large a page.", code="page_too_large", too_much=True)


@pytest.fixture
async def fetcher(home: Path | Schema) -> AsyncIterator[Fetcher]:
    """Yield a fetcher whose runs read one page each and never wait."""
    fetcher = Fetcher(home, COUNTS)
    await fetcher.boot()
    fetcher.context.stopping.set()
    fetcher.orchard.size = 100
    yield fetcher
    await fetcher.database.close()


class Scales:
    """Let pages of so many records through, and answer larger ones with ``refusal``."""

    def __init__(self, most: int, refusal: Interruption) -> None:
        self.most, self._refusal = most, refusal
        self.asked: list[int] = []

    def __call__(self, place: Place) -> None:
        self.asked.append(place.size)
        if place.size > self.most:
            raise self._refusal

    @property
    def through(self) -> list[int]:
        return [size for size in self.asked if size <= self.most]


@pytest.mark.parametrize("refusal", [TIMED_OUT, TOO_LARGE], ids=["504", "too large"])
async def test_pages_get_smaller_until_they_get_through(
    fetcher: Fetcher, refusal: Interruption
) -> None:
    fetcher.orchard.weighs = scales = Scales(20, refusal)
    told = await loaded(fetcher)
    assert (told["apples"].state, told["apples"].items) == ("done", 600)
    assert (told["pears"].state, told["pears"].items) == ("done", 4)
    assert {12} < set(scales.asked) <= {100, 50, 25, 24, 12}


async def test_pages_grow_again_once_they_get_through(fetcher: Fetcher) -> None:
    fetcher.orchard.weighs = scales = Scales(20, TOO_LARGE)

    def heavier(place: Place) -> None:
        scales(place)
        if len(scales.through) > GROWS_AFTER:
            scales.most = 100

    fetcher.orchard.weighs = heavier
    assert (await loaded(fetcher))["apples"].items == 600
    assert {24, 48} < set(scales.asked), "twelve got through, and halving gives neither"


async def test_a_page_of_one_record_that_is_too_much_ends_its_part_and_no_other(
    fetcher: Fetcher,
) -> None:
    def weighs(place: Place) -> None:
        if place.part.id == "apples":
            raise TOO_LARGE

    fetcher.orchard.weighs = weighs
    told = await loaded(fetcher)
    assert (told["apples"].state, code(told["apples"])) == ("failed", "page_too_large")
    assert told["pears"].state == "done"


async def test_what_fails_for_another_reason_is_asked_for_in_the_same_size(
    fetcher: Fetcher,
) -> None:
    sizes: list[int] = []

    def weighs(place: Place) -> None:
        sizes.append(place.size)
        if len(sizes) < 3:
            raise RetryLater("Orchard is not available (status 503).")

    fetcher.orchard.weighs = weighs
    assert (await loaded(fetcher))["apples"].state == "done"
    assert set(sizes) == {100}


async def test_another_worker_goes_on_with_the_smaller_pages(fetcher: Fetcher) -> None:
    fetcher.orchard.weighs = scales = Scales(20, TOO_LARGE)
    await fetcher.connect(1)
    await fetcher.relay_once()
    while not scales.through:
        await fetcher.deliver()
        await fetcher.settle()
        await fetcher.relay_once()
    before = len(scales.asked)
    await fetcher.kill()
    await fetcher.boot()
    await fetcher.run_until_over()
    assert max(scales.asked[before : before + 3]) <= 24
    assert fetcher.newest_progress()["sync-1", "apples"].items == 600


async def test_the_next_sync_begins_with_the_smaller_pages(fetcher: Fetcher) -> None:
    scales = Scales(20, TOO_LARGE)
    fetcher.orchard.weighs = lambda place: scales(place) if place.part.id == "apples" else None
    await loaded(fetcher)
    before = len(scales.asked)
    assert (await loaded(fetcher, "again"))["apples"].state == "done"
    assert max(scales.asked[before:]) <= 24


def too_slow(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("slow", request=request)


def too_large(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, content=b" " * (2 << 20))


def cut_off(request: httpx.Request) -> httpx.Response:
    raise httpx.RemoteProtocolError("cut off", request=request)


@pytest.mark.parametrize(
    ("answer", "smaller"), [(too_slow, True), (too_large, True), (cut_off, False)]
)
async def test_answers_that_are_too_slow_or_too_large_make_the_pages_smaller(
    tmp_path: Path, answer: Any, smaller: bool
) -> None:
    market = Market(tmp_path)
    await market.open()
    market.stall.faults.append(answer)
    market.fetcher.context.stopping.set()
    await market.fetcher.connect(1)
    await market.fetcher.relay_once()
    await market.fetcher.deliver()
    await market.fetcher.settle()
    async with market.fetcher.database.read() as db:
        sizes = set((await db.execute(select(parts.c.page_size))).scalars())
    assert sizes == ({50} if smaller else {100})
    await market.close()
