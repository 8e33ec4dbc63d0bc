"""A receipt names the fields that the provider was not asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from typing_extensions import override

from services.fetcher.app import connectors
from services.fetcher.settings import fetcher_settings
from services.fetcher.tests.crashing import Fetcher, Orchard
from services.fetcher.tests.test_walks import apple, loaded
from shared.connector import Call, Connector, LeavesOut, Page, Part, PartSchema, Place, RetryLater
from shared.contracts.progress import MOST_LEFT_OUT, Receipt
from shared.installation import provider_defaults
from shared.settings import load_settings
from tests.support.clock import MovableClock

MANY = [f"field_{n:03}" for n in range(250)]


class Choosing(Orchard):
    """An orchard whose parts leave out fields."""

    without: dict[str, list[str]]
    """Part → the fields that it leaves out."""

    @override
    async def schema(self, call: Call, resource: str, part: Part) -> PartSchema:
        return {"without": self.without[part.id]}

    def with_all_fields(self) -> Connector:
        return self

    def left_out(self, schema: PartSchema) -> tuple[str, ...]:
        return tuple(schema["without"])


@pytest.fixture
async def fetcher(movable_clock: MovableClock, tmp_path: Path) -> AsyncIterator[Fetcher]:
    fetcher = Fetcher(tmp_path, {"apples": 1})
    yield fetcher
    await fetcher.database.close()


async def receipt_of(fetcher: Fetcher, without: dict[str, list[str]]) -> Receipt:
    """Load apples from parts that leave out these fields; return the receipt."""
    orchard = Choosing(fetcher.crashes, {"apples": 1})
    orchard.without = without
    orchard.roots["apples"] = tuple(Part(id=id_, name=id_, schema=id_) for id_ in without)
    for id_ in without:
        orchard.of_part[id_] = lambda _: Page(records=[apple(1)], cursor=None)
    orchard.weighs = fetcher.orchard.weighs
    fetcher.orchard = orchard
    await fetcher.boot()
    told = (await loaded(fetcher))["apples"]
    assert told.receipt is not None
    return told.receipt


@pytest.mark.parametrize(
    ("without", "named", "total"),
    [
        ({"a": ["size", "colour"]}, ("colour", "size"), 2),
        ({"a": ["size"], "b": ["size", "age"]}, ("age", "size"), 2),
        ({"a": []}, (), 0),
        ({"a": MANY}, tuple(MANY[:MOST_LEFT_OUT]), 250),
    ],
)
async def test_a_receipt_names_what_was_left_out_a_hundred_at_most_and_counts_all(
    fetcher: Fetcher, without: dict[str, list[str]], named: tuple[str, ...], total: int
) -> None:
    receipt = await receipt_of(fetcher, without)
    assert (receipt.left_out, receipt.left_out_total) == (named, total)


async def test_it_is_named_though_the_first_page_failed_after_the_schema_was_read(
    fetcher: Fetcher,
) -> None:
    failing = [RetryLater("away"), ValueError("a bug")]

    def fail(_: Place) -> None:
        if failing:
            raise failing.pop(0)

    fetcher.orchard.weighs = fail
    assert (await receipt_of(fetcher, {"a": ["size"]})).left_out == ("size",)
    assert not failing


async def test_a_provider_whose_fields_are_not_chosen_says_nothing_about_them(
    fetcher: Fetcher,
) -> None:
    await fetcher.boot()
    receipt = (await loaded(fetcher))["apples"].receipt
    assert receipt is not None
    assert (receipt.left_out, receipt.left_out_total) == (None, None)


def test_the_setting_reaches_each_connector_that_leaves_out_fields(tmp_path: Path) -> None:
    def chosen(**settings: str) -> dict[str, Connector]:
        given = {"TRIBUTARY_DATA_DIR": str(tmp_path), **settings}
        read = load_settings(given, providers=provider_defaults())
        return connectors(fetcher_settings(read, alone=True))

    usual, whole = chosen(), chosen(TRIBUTARY_ALL_FIELDS="true")
    choosing = {slug for slug, one in usual.items() if isinstance(one, LeavesOut)}
    assert choosing
    for slug, connector in usual.items():
        assert (whole[slug] is connector) is (slug not in choosing)
