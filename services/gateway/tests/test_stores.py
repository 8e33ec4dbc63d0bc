"""The read model is the same on SQLite and PostgreSQL: order, search, and the end of syncs."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.gateway import store
from services.gateway.items import queries as items
from services.gateway.items.queries import ItemQuery
from services.gateway.project import on_items
from services.gateway.store import READ_MODEL
from services.gateway.syncs import queries as syncs
from services.gateway.syncs.queries import Sync
from services.gateway.tests.test_stale_appends import row
from shared.contracts.progress import JobProgress, Receipt
from shared.contracts.topics import ITEMS, PROGRESS
from shared.db import Database, Schema
from tests.support.waiting import turns

IDS = [
    "a",
    "A",
    "b",
    "B",
    "Z",
    "z",
    "ä",
    "Ä",
    "ß",
    "é",
    "É",
    "1",
    "10",
    "2",
    "a-1",
    "a_1",
    "a1",
    "🦆",
    "ﬀ",
    "~",
    "日",
]


@pytest.fixture
async def database(place: Path | Schema) -> AsyncIterator[Database]:
    database = Database(place)
    await database.migrate("services.gateway:migrations")
    yield database
    await database.close()


@pytest.fixture
async def another(database: Database, place: Path | Schema) -> AsyncIterator[Database]:
    another = Database(place)
    yield another
    await another.close()


def named(id_: str, name: str, *, offset: int = 0, connection: str = "c") -> dict[str, Any]:
    return row(id_, version=1, offset=offset) | {
        "connection_id": connection,
        "name": name,
        "name_folded": name.casefold(),
        "raw": b"{}",
    }


async def take(database: Database, *rows: dict[str, Any]) -> None:
    async with database.write(lock=READ_MODEL) as db:
        await on_items(db, list(rows))


async def test_pages_follow_one_another_in_the_order_of_bytes_and_miss_nothing(
    database: Database, chance: random.Random
) -> None:
    rows = [
        named(id_, id_, offset=n, connection=connection)
        for connection in ("c", "C", "ç")
        for n, id_ in enumerate(IDS)
    ]
    chance.shuffle(rows)
    await take(database, *rows)
    for connections in (None, ["c"], ["ç", "C", "c"]):
        found: list[tuple[str, str, str]] = []
        query = ItemQuery(connections=connections, limit=4)
        while True:
            async with database.read() as db:
                page = [one.key for one in (await items.page(db, query)).items]
            if not page:
                break
            found += page
            query = msgspec.structs.replace(query, after=found[-1])
        assert len(set(found)) == len(found) == len(IDS) * (3 if connections != ["c"] else 1)
        assert all(before < after for before, after in pairwise(found)), (
            "in Python's own order of text"
        )


NAMES = [
    "100% wool",
    "under_score",
    "back\\slash",
    "STRASSE",
    "Straße",
    "Ünïcode",
    "ünÏCODE",
    "it's",
    'say "x"',
    "İzmir",
    "",
]


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("%", ["100% wool"]),
        ("0%", ["100% wool"]),
        ("_", ["under_score"]),
        ("r_s", ["under_score"]),
        ("\\", ["back\\slash"]),
        ("k\\s", ["back\\slash"]),
        ("strasse", ["STRASSE", "Straße"]),
        ("straße", ["STRASSE", "Straße"]),
        ("ÜNÏ", ["Ünïcode", "ünÏCODE"]),
        ("it's", ["it's"]),
        ('"X"', ['say "x"']),
        ("/", []),
        ("izmir", []),
        ("İZM", ["İzmir"]),
    ],
)
async def test_a_search_finds_a_part_of_the_name_in_any_case_and_takes_no_character_for_a_joker(
    database: Database, q: str, expected: list[str]
) -> None:
    await take(database, *(named(f"{n:02}", name, offset=n) for n, name in enumerate(NAMES)))
    async with database.read() as db:
        found = await items.page(db, ItemQuery(connections=["c"], q=q))
    assert [one.name for one in found.items] == expected


async def test_batches_with_the_same_keys_in_any_order_do_not_hold_one_another_up(
    database: Database, another: Database, chance: random.Random
) -> None:
    """Rows are written in the order of keys: otherwise two batches would wait for each other."""

    async def write(one: Database, version: int) -> None:
        rows = [row(f"{n:03}", version=version, offset=version * 1000 + n) for n in range(150)]
        chance.shuffle(rows)
        async with one.write() as db:  # without the lock: the rows alone keep them apart
            await on_items(db, rows)

    await asyncio.gather(
        *(write(one, version) for version in range(1, 9) for one in (database, another))
    )
    async with database.read() as db:
        page = (await items.page(db, ItemQuery(connections=["c"], limit=500))).items
    assert [one.version for one in page] == [8] * 150


async def test_only_new_content_or_a_deletion_moves_the_time_an_item_was_synced_at(
    database: Database,
) -> None:
    def read(version: int, digest: str | None, **more: Any) -> dict[str, Any]:
        known = {"digest": digest, "synced_at": f"at {version}"}
        return row("a", version=version, offset=version, **more) | known

    async def synced_at(*rows: dict[str, Any]) -> str | None:
        await take(database, *rows)
        async with database.read() as db:
            found = await items.get(db, ("c", "pages", "a"))
        return found.synced_at if found else None

    assert await synced_at(read(1, "x"), read(2, "x")) == "at 1"
    assert await synced_at(read(3, "x")) == "at 1"
    assert await synced_at(read(4, "y")) == "at 4"
    assert await synced_at(read(5, None, deleted=True)) is None
    assert await synced_at(read(6, "y")) == "at 6"
    assert await synced_at(read(7, None)) == "at 7", (
        "without a digest nobody knows whether it is the same"
    )
    assert await synced_at(read(8, None)) == "at 8"


def ended(sync: str, resource: str, partition: int, offset: int, step: int = 3) -> JobProgress:
    return JobProgress(
        sync_id=sync,
        job_id=f"{sync}-{resource}",
        step=step,
        connection_id="c",
        resource=resource,
        state="done",
        receipt=Receipt(),
        item_positions={partition: offset},
        ended_at="2026-01-01T00:00:00Z",
    )


async def test_whichever_of_items_and_progress_comes_first_every_sync_ends(
    database: Database, another: Database, chance: random.Random
) -> None:
    """The two topics are read side by side; whoever is last sees what the other one wrote."""
    count, resources = 12, ("pages", "users")
    async with database.write(lock=READ_MODEL) as db:
        for number in range(count):
            asked = Sync(
                id=f"s{number}",
                connection_id="c",
                mode="full",
                resources=resources,
                whole=True,
                trigger="person",
                requested_at=1.0,
            )
            await syncs.add(db, asked)

    async def folded(
        one: Database, topic: str, fold: Any, batch: list[Any], read: dict[int, int]
    ) -> None:
        await turns(chance.randrange(20))
        async with one.write(lock=READ_MODEL) as db:
            await fold(db, batch)
            await store.save_positions(db, topic, "log", read)
            await syncs.settle(db, log_id="log")

    async def read_items(partition: int) -> None:
        for number in range(count):
            batch = [
                row(f"{partition}-{number}", version=1, offset=number) | {"partition": partition}
            ]
            await folded(database, ITEMS, on_items, batch, {partition: number + 1})

    async def read_progress(partition: int, resource: str) -> None:
        for number in range(count):
            body = ended(f"s{number}", resource, partition, number)
            await folded(another, PROGRESS, syncs.save_progress, [body], {partition: number + 1})

    await asyncio.gather(
        *(read_items(partition) for partition in range(2)),
        *(read_progress(partition, resource) for partition, resource in enumerate(resources)),
    )
    async with database.read() as db:
        assert await syncs.unfinished(db, "c") == []
        for number in range(count):
            known = await syncs.progress(db, f"s{number}")
            assert [one.over for one in known] == [True, True]
        revisions = [
            one.revision
            for number in range(count)
            for one in await syncs.progress(db, f"s{number}")
        ]
    assert len(set(revisions)) == len(revisions)


async def test_an_older_step_of_a_job_changes_nothing(database: Database) -> None:
    async with database.write(lock=READ_MODEL) as db:
        await syncs.save_progress(db, [ended("s", "pages", 0, 5, step=7)])
        await syncs.save_progress(
            db, [msgspec.structs.replace(ended("s", "pages", 0, 5, step=6), state="running")]
        )
        (known,) = await syncs.progress(db, "s")
    assert (known.body.step, known.body.state) == (7, "done")
