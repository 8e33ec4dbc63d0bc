"""A part goes on when its schema was read again, unless what pages are asked for has changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from typing_extensions import override

from services.fetcher import store
from services.fetcher.context import Schemas
from services.fetcher.tests.crashing import Fetcher, Orchard
from services.fetcher.tests.test_waiting_loads import at_work
from services.fetcher.tests.test_walks import apple, loaded, number_of
from shared.connector import (
    LEFT_OUT,
    Call,
    Connector,
    Cursor,
    Page,
    Part,
    PartSchema,
    RetryLater,
)
from shared.providers.hubspot.walk import Columns
from tests.support.clock import MovableClock


def digest(schema: PartSchema) -> bytes:
    kept = Schemas()
    kept.keep("job", {"key": schema})
    found = kept.get("job", "key")
    assert found is not None
    return found.digest


def test_fields_that_are_left_out_change_no_page() -> None:
    """HubSpot names sensitive ones by calls of their own, which may fail while others succeed."""
    asked = Columns(names=("email",), left_out=("hs_v2_x",))
    with_sensitive = Columns(names=("email",), left_out=("hs_v2_x", "diagnosis"))
    assert digest(asked.schema()) == digest(with_sensitive.schema())
    assert digest(asked.schema()) != digest(Columns(names=("email", "phone")).schema())


class Comparing(Orchard):
    """An orchard that is told the last schema of each part, and notes what it was told."""

    def __init__(self, fetcher: Fetcher, schema: PartSchema) -> None:
        super().__init__(fetcher.crashes, {"apples": 1})
        self.now = schema
        self.told: list[Mapping[str, PartSchema]] = []
        self.roots["apples"] = (Part(id="apples", name="apples", schema="apples"),)
        self.of_part["apples"] = lambda _: Page(records=[apple(1)], cursor=None)

    @override
    async def schema(self, call: Call, resource: str, part: Part) -> PartSchema:
        return self.now

    def with_last(self, schemas: Mapping[str, PartSchema]) -> Connector:
        self.told.append(schemas)
        return self


async def test_a_connector_is_told_what_it_was_last_told_of_fields(
    movable_clock: MovableClock, tmp_path: Path
) -> None:
    fetcher = Fetcher(tmp_path, {"apples": 1})
    orchard = fetcher.orchard = Comparing(fetcher, {"names": ["size"], LEFT_OUT: ["age"]})
    await fetcher.boot()
    await loaded(fetcher)
    assert orchard.told == [{}, {"apples": {"names": ["size"]}}]

    orchard.told.clear()
    orchard.now = {"names": ["size", "colour"]}
    await loaded(fetcher, "sync-2")
    assert orchard.told == [{"apples": {"names": ["size"]}}, {"apples": orchard.now}]

    await fetcher.connect(2, status="disconnected")
    await fetcher.run_until_over()
    async with fetcher.database.read() as db:
        assert await store.last_schemas(db, "conn", "apples") == {}
    await fetcher.database.close()


@pytest.mark.parametrize(
    ("minutes", "schema", "first"),
    [
        (20, {"names": ["size", "colour"]}, 0),
        (20, {"names": ["size"], LEFT_OUT: ["age"]}, 2),
        (0, {"names": ["size", "colour"]}, 2),
    ],
)
async def test_a_part_that_was_left_alone_begins_anew_if_its_schema_has_changed(
    movable_clock: MovableClock, tmp_path: Path, minutes: int, schema: PartSchema, first: int
) -> None:
    """Otherwise its first pages would lack a field that the others have."""
    fetcher = Fetcher(tmp_path, {"apples": 1})
    orchard = fetcher.orchard = Comparing(fetcher, {"names": ["size"]})
    asked: list[int] = []
    down = True

    def page(cursor: Cursor | None) -> Page:
        n = number_of(cursor)
        asked.append(n)
        if down and n == 2:
            # So that the run does not wait in its slot.
            fetcher.context.stopping.set()
            raise RetryLater("Orchard is not available.")
        return Page(records=[apple(n)], cursor={"n": n + 1} if n < 3 else None)

    orchard.of_part["apples"] = page
    await fetcher.boot()
    await fetcher.connect(1)
    await at_work(fetcher)
    assert asked == [0, 1, 2]
    asked.clear()
    fetcher.context.stopping.clear()
    down = False
    orchard.now = schema
    movable_clock.move(seconds=60 * minutes)
    await fetcher.run_until_over()
    assert asked == list(range(first, 4))
    await fetcher.database.close()
