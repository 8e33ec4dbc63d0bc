"""An item that a paused worker appends too late is noticed and fetched again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from services.gateway.connections import queries as connections
from services.gateway.items import queries as items
from services.gateway.project import apply_connection, on_items
from services.gateway.tables import outbox
from shared.contracts.connections import Account, Connection
from shared.contracts.syncs import RefetchItems
from shared.db import Database, Schema

Row = dict[str, Any]


@pytest.fixture
async def database(place: Path | Schema) -> AsyncIterator[Database]:
    database = Database(place)
    await database.migrate("services.gateway:migrations")
    yield database
    await database.close()


def row(id_: str, *, version: int, offset: int, deleted: bool = False, generation: int = 1) -> Row:
    key = {"connection_id": "c", "resource": "pages", "id": id_, "org_id": "o"}
    known = {"version": version, "offset": offset, "deleted": deleted, "generation": generation}
    return {**items.BLANK, **key, **known}


def refetch(*ids: str, above: int) -> RefetchItems:
    return RefetchItems(connection_id="c", resource="pages", ids=ids, highest_version=above)


async def take(database: Database, *rows: Row) -> None:
    async with database.write() as db:
        await on_items(db, list(rows))


async def asked(database: Database) -> list[RefetchItems]:
    async with database.read() as db:
        sent = (await db.execute(select(outbox.c.value).order_by(outbox.c.id))).scalars()
        return [msgspec.json.decode(value, type=RefetchItems) for value in sent]


async def test_an_older_version_behind_a_newer_one_is_read_again(database: Database) -> None:
    await take(database, row("a", version=5, offset=1), row("b", version=5, offset=2))
    await take(database, row("a", version=4, offset=3), row("b", version=6, offset=4))
    assert await asked(database) == [refetch("a", above=5)]


async def test_also_when_both_come_in_one_batch(database: Database) -> None:
    await take(
        database,
        row("a", version=5, offset=1),
        row("b", version=1, offset=2),
        row("a", version=4, offset=3),
    )
    assert await asked(database) == [refetch("a", above=5)]


async def test_the_request_names_the_highest_version_that_is_held_of_its_items(
    database: Database,
) -> None:
    await take(
        database,
        row("a", version=7, offset=1),
        row("b", version=9, offset=2),
        row("c", version=12, offset=3),
    )
    await take(
        database, *(row(id_, version=3, offset=offset) for offset, id_ in enumerate("ab", 4))
    )
    assert await asked(database) == [refetch("a", "b", above=9)]


async def test_it_names_what_is_stored_also_when_the_batch_holds_an_older_pair(
    database: Database,
) -> None:
    await take(database, row("a", version=9, offset=9))
    await take(database, row("a", version=5, offset=2), row("a", version=4, offset=3))
    assert await asked(database) == [refetch("a", above=9)]


async def test_what_is_only_read_twice_is_left_alone(database: Database) -> None:
    first, second = row("a", version=4, offset=1), row("a", version=5, offset=2)
    for batch in ([first, second], [first, second], [first], [second]):
        await take(database, *batch)
    assert await asked(database) == []


async def test_an_item_behind_its_own_deletion_is_read_again(database: Database) -> None:
    await take(database, row("a", version=4, offset=1))
    await take(database, row("a", version=6, offset=2, deleted=True))
    await take(database, row("a", version=5, offset=3))
    assert await asked(database) == [refetch("a", above=6)]
    async with database.read() as db:
        assert await items.get(db, ("c", "pages", "a")) is None


async def test_a_closed_connections_item_behind_the_deletion_is_read_again_and_one_before_it_is_not(
    database: Database,
) -> None:
    gone = Connection(
        id="c",
        version=2,
        generation=1,
        org_id="o",
        user_id="u",
        provider="notion",
        client_id="k",
        account=Account(id="a"),
        status="disconnected",
        token_version=1,
        created_at="",
        updated_at="",
    )
    async with database.write() as db:
        await connections.save(db, gone)
    await take(database, row("before", version=4, offset=1))
    await take(
        database,
        row("before", version=6, offset=2, deleted=True),
        row("late", version=6, offset=3, deleted=True),
    )
    assert await asked(database) == []
    await take(database, row("late", version=5, offset=4))
    assert await asked(database) == [refetch("late", above=6)]
    async with database.read() as db:
        assert await items.get(db, ("c", "pages", "late")) is None


async def test_a_generation_whose_end_was_overtaken_by_the_next_consent_is_not_shown(
    database: Database,
) -> None:
    first = Connection(
        id="c",
        version=1,
        generation=1,
        org_id="o",
        user_id="u",
        provider="notion",
        client_id="k",
        account=Account(id="a"),
        status="active",
        token_version=1,
        created_at="",
        updated_at="",
    )
    async with database.write() as db:
        await apply_connection(db, first, provider=None)
    await take(database, row("a", version=4, offset=1))
    async with database.write() as db:
        await apply_connection(
            db, msgspec.structs.replace(first, version=3, generation=2), provider=None
        )
        await apply_connection(
            db, msgspec.structs.replace(first, version=2, status="disconnected"), provider=None
        )
    async with database.read() as db:
        assert await items.get(db, ("c", "pages", "a")) is None


async def test_many_are_asked_for_in_several_requests(database: Database) -> None:
    ids = [f"{number:03}" for number in range(450)]
    await take(database, *(row(id_, version=9, offset=number) for number, id_ in enumerate(ids)))
    await take(
        database, *(row(id_, version=8, offset=1000 + number) for number, id_ in enumerate(ids))
    )
    found = await asked(database)
    assert [(len(one.ids), one.highest_version) for one in found] == [(200, 9), (200, 9), (50, 9)]
    assert sorted(id_ for one in found for id_ in one.ids) == ids


async def test_an_item_behind_its_deletion_is_noticed_when_the_disconnect_was_heard_of_last(
    database: Database,
) -> None:
    await take(
        database, row("late", version=4, offset=1), row("late", version=6, offset=2, deleted=True)
    )
    async with database.write() as db:
        await items.drop_generations(db, "c", up_to=1)
    await take(database, row("late", version=5, offset=3))
    assert await asked(database) == [refetch("late", above=6)]
