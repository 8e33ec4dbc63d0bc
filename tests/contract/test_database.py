"""Everything the services rely on in their database holds on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from operator import itemgetter
from pathlib import Path

import pytest
from sqlalchemy import BigInteger, Text, bindparam, cast, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError, OperationalError

from shared.db import (
    BulkUpsert,
    CompiledSelect,
    Database,
    KeyLookup,
    Schema,
    db_now,
    in_array,
    json_array,
    machine_now,
)
from shared.db.database import READERS, WRITERS
from shared.transient import is_transient
from tests.contract.child import add_ones
from tests.contract.children import child, done
from tests.contract.tables import counters, metadata, placed, things
from tests.servers.places import tables_of
from tests.support.clock import MovableClock
from tests.support.waiting import PATIENCE_S, next_millisecond, turns


@pytest.fixture
async def counter(database: Database) -> str:
    async with database.write() as db:
        await db.execute(insert(counters).values(name="c", value=0))
    return "c"


async def value(database: Database) -> int:
    async with database.read() as db:
        return int((await db.execute(select(counters.c.value))).scalar_one())


async def all_things(database: Database) -> dict[str, int | None]:
    async with database.read() as db:
        return {
            row.id: row.number for row in await db.execute(select(things).order_by(things.c.id))
        }


async def test_what_a_transaction_wrote_is_read_after_it_and_not_before(
    database: Database, another: Database
) -> None:
    async with database.write() as db:
        await db.execute(insert(things).values(id="a", number=1))
        assert await all_things(another) == {}
    assert await all_things(another) == {"a": 1}


async def test_an_error_rolls_a_transaction_back(database: Database) -> None:
    async def put(*ids: str) -> None:
        async with database.write() as db:
            for id_ in ids:
                await db.execute(insert(things).values(id=id_))
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        await put("a")
    with pytest.raises(IntegrityError) as refused:
        await put("b", "b")
    assert not is_transient(refused.value)
    assert await all_things(database) == {}


async def cut_off(task: asyncio.Task[object], chance: random.Random) -> None:
    """Somewhere in its work, and once more while it rolls back."""
    await asyncio.sleep(chance.random() / 25)
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(chance.random() / 500)
    await asyncio.wait([task])


async def test_two_hundred_cancelled_transactions_leave_nothing_behind(
    database: Database, place: Path | Schema, chance: random.Random
) -> None:
    async def write(number: int) -> None:
        async with database.write(lock="same" if number % 3 else None) as db:
            await db.execute(insert(things).values(id=f"{number}"))
            for _ in range(50):
                await db.execute(select(func.count()).select_from(things))
                if isinstance(place, Schema):  # SQLite's statements wait for nothing
                    await turns()
            raise LookupError  # whoever comes so far is rolled back as well

    await asyncio.gather(*(all_things(database) for _ in range(4)))
    for start in range(0, 200, 20):
        writing: list[asyncio.Task[object]] = [
            asyncio.create_task(write(start + n)) for n in range(10)
        ]
        reading: list[asyncio.Task[object]] = [
            asyncio.create_task(all_things(database)) for _ in range(10)
        ]
        await asyncio.gather(*(cut_off(task, chance) for task in (*writing, *reading)))
        assert not any(task.exception() is None for task in writing if not task.cancelled())
    assert await all_things(database) == {}
    if isinstance(place, Schema):
        assert await sessions(database, "state LIKE 'idle in%'") == 0
        assert await sessions(database, "true") <= READERS + WRITERS
    async with asyncio.timeout(PATIENCE_S), database.write(lock="same") as db:
        await db.execute(insert(things).values(id="works"))
    assert (
        await asyncio.gather(*(all_things(database) for _ in range(12))) == [{"works": None}] * 12
    )


async def sessions(database: Database, condition: str) -> int:
    """Return how many other sessions of this kind the tests' own database has."""
    count = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> "
        "pg_backend_pid()"
    )
    async with database.write() as db:
        return int((await db.exec_driver_sql(f"{count} AND {condition}")).scalar_one())


async def test_transactions_of_one_lock_lose_no_update(
    database: Database, another: Database, counter: str
) -> None:
    await asyncio.gather(
        *(add_ones(one, counter, 15) for one in (database, another) for _ in range(2))
    )
    assert await value(database) == 60


async def test_nor_do_those_of_several_processes(
    database: Database, place: Path | Schema, counter: str
) -> None:
    async with (
        child(place, "add", counter, "40") as first,
        child(place, "add", counter, "40") as second,
    ):
        await add_ones(database, counter, 40)
        await done(first)
        await done(second)
    assert await value(database) == 120


async def test_a_serial_database_needs_no_lock_to_be_named(
    place: Path | Schema, counter: str
) -> None:
    one, other = Database(place, serial=True), Database(place, serial=True)

    async def add(database: Database) -> None:
        for _ in range(20):
            async with database.write() as db:
                found = (await db.execute(select(counters.c.value))).scalar_one()
                await db.execute(
                    update(counters).where(counters.c.name == counter).values(value=found + 1)
                )

    await asyncio.gather(add(one), add(one), add(other))
    assert await value(one) == 60
    await one.close()
    await other.close()


async def test_a_reading_transaction_sees_one_state_from_beginning_to_end(
    database: Database, another: Database, counter: str
) -> None:
    async with database.read() as db:
        before = (await db.execute(select(counters.c.value))).scalar_one()
        await add_ones(another, counter, 3)
        async with another.write() as other:
            await other.execute(insert(things).values(id="late"))
        assert (await db.execute(select(counters.c.value))).scalar_one() == before
        assert (await db.execute(select(func.count()).select_from(things))).scalar_one() == 0
    assert await value(database) == before + 3


async def test_a_commit_is_told_with_its_news_and_a_rollback_is_not(database: Database) -> None:
    heard: list[bool] = []
    database.on_commit(heard.append)
    async with database.write() as db:
        await db.execute(insert(things).values(id="a"))
    with suppress(ZeroDivisionError):
        async with database.write():
            _ = 1 / 0
    assert heard == [False]


BULK = upsert(things)
BULK = BULK.on_conflict_do_update(
    index_elements=["id"],
    set_={"number": BULK.excluded.number, "body": BULK.excluded.body},
    where=things.c.number < BULK.excluded.number,
)


async def test_many_rows_at_once_keep_the_statements_condition_and_say_how_many_were_written(
    database: Database,
) -> None:
    bulk = BulkUpsert(BULK)
    assert set(bulk.columns) == {"id", "number", "body"}

    async def put(**numbers: int) -> int:
        rows = [
            {"id": id_, "number": number, "body": b"\x00\xff"}
            for id_, number in sorted(numbers.items())
        ]
        row_of = itemgetter(*bulk.columns)
        async with database.write() as db:
            return await bulk.run(db, list(map(row_of, rows)))

    assert await put() == 0
    assert await put(a=5, b=5, c=1 << 50) == 3
    assert await put(a=4, b=6, d=1) == 2
    assert await put(a=5, b=5) == 0
    assert await all_things(database) == {"a": 5, "b": 6, "c": 1 << 50, "d": 1}


async def test_a_bulk_statement_with_parameters_outside_its_values_is_refused_when_it_is_made() -> (
    None
):
    with pytest.raises(ValueError, match="only in its VALUES"):
        BulkUpsert(upsert(things).on_conflict_do_update(index_elements=["id"], set_={"number": 7}))


ODD = [
    "plain",
    "Größe",
    "a,b",
    'say "a"',
    "back\\slash",
    "{curly}",
    "%_",
    "emoji 🦆",
    "'",
    "",
    "null",
    "x" * 3000,
]


async def test_a_condition_on_many_values_takes_any_text_and_large_numbers(
    database: Database,
) -> None:
    async with database.write() as db:
        await db.execute(
            insert(things), [{"id": id_, "number": (1 << 45) + n} for n, id_ in enumerate(ODD)]
        )
    by_id = select(things.c.id).where(in_array(things.c.id, bindparam("ids", type_=Text)))
    by_number = select(things.c.id).where(in_array(things.c.number, bindparam("ids", type_=Text)))
    async with database.read() as db:
        for id_ in ODD:
            assert list((await db.execute(by_id, {"ids": json_array([id_])})).scalars()) == [id_]
        assert set(
            (await db.execute(by_id, {"ids": json_array([*ODD, "absent"])})).scalars()
        ) == set(ODD)
        assert list((await db.execute(by_id, {"ids": json_array([])})).scalars()) == []
        assert list(
            (await db.execute(by_number, {"ids": json_array([(1 << 45) + 1, 7])})).scalars()
        ) == [ODD[1]]


LANE = {"connection": "c", "resource": "r"}
IN_LANE = KeyLookup(placed.c.id, placed.c.number)


async def test_rows_are_found_by_many_keys(database: Database) -> None:
    others = [{"connection": "c", "resource": "s", "id": id_, "number": 0} for id_ in ODD]
    async with database.write() as db:
        await db.execute(
            insert(placed),
            [*others, *({**LANE, "id": id_, "number": n} for n, id_ in enumerate(ODD))],
        )
    async with database.read() as db:
        found = await IN_LANE.rows(db, LANE, [*ODD[1:], "absent"])
        assert {(id_, number) for id_, number in found} == {
            (id_, n) for n, id_ in enumerate(ODD) if n
        }
        assert list(await IN_LANE.rows(db, LANE, [])) == []


OURS = "relid = 'placed'::regclass"
LOOKED_AT = text("SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_xact_user_tables WHERE " + OURS)


@pytest.mark.parametrize("counted", [False, True])
async def test_rows_of_a_lane_that_has_grown_since_it_was_counted_are_looked_up_one_by_one(
    database: Database, place: Path | Schema, *, counted: bool
) -> None:
    async with database.write() as db:
        await db.execute(
            insert(placed), [{**LANE, "id": f"first {n}", "number": n} for n in range(5)]
        )
    if counted and isinstance(place, Schema):
        async with database.write() as db:
            await db.execute(text("ANALYZE placed"))
    for _ in range(8):  # PostgreSQL keeps the plan of a statement that comes so often
        async with database.read() as db:
            assert len(await IN_LANE.rows(db, LANE, ["first 0"])) == 1
    async with database.write() as db:
        await db.execute(insert(placed), [{**LANE, "id": str(n), "number": n} for n in range(5000)])
    async with database.read() as db:
        before = (await db.execute(LOOKED_AT)).scalar_one() if isinstance(place, Schema) else 0
        assert len(await IN_LANE.rows(db, LANE, [str(n) for n in range(0, 5000, 50)])) == 100
        if isinstance(place, Schema):  # SQLite does not tell how many it has looked at
            assert (await db.execute(LOOKED_AT)).scalar_one() - before == 100


async def test_keys_are_in_the_order_of_their_bytes(database: Database) -> None:
    ids = [
        "b",
        "B",
        "a",
        "ä",
        "A",
        "a-1",
        "a_1",
        "a1",
        "Z",
        "ß",
        "z",
        "0",
        "é",
        "É",
        "ﬀ",
        "🦆",
        "~",
    ]
    async with database.write() as db:
        await db.execute(insert(things), [{"id": id_} for id_ in ids])
    async with database.read() as db:
        found = list((await db.execute(select(things.c.id).order_by(things.c.id))).scalars())
        behind = list(
            (
                await db.execute(select(things.c.id).where(things.c.id > "a").order_by(things.c.id))
            ).scalars()
        )
    assert found == sorted(ids, key=lambda id_: id_.encode())
    assert behind == found[found.index("a") + 1 :]


async def test_the_databases_clock_agrees_with_ours_and_goes_on_inside_a_transaction(
    database: Database,
) -> None:
    async with database.write() as db:
        before = time.time()
        moments = []
        for _ in range(5):
            moments.append((await db.execute(select(db_now()))).scalar_one())
            await next_millisecond()
        after = time.time()
    assert before - 0.01 <= moments[0]
    assert moments == sorted(moments)
    assert moments[-1] > moments[0]
    assert moments[-1] <= after + 0.01


async def test_the_databases_clock_moves_with_ours_and_its_machines_does_not(
    movable_clock: MovableClock, database: Database
) -> None:
    due = select(things.c.id).where(things.c.number <= db_now())
    both = select(db_now(), machine_now())
    async with database.write() as db:
        soon = {"number": cast(db_now() + 1_800, BigInteger)}
        await db.execute(insert(things).values(soon), [{"id": "a"}, {"id": "b"}])
    async with database.read() as db:
        assert (await db.execute(due)).all() == []
    movable_clock.move(hours=1)
    async with database.read() as db:
        assert sorted((await db.execute(due)).scalars()) == ["a", "b"]
        ours, machines = (await db.execute(both)).one()
        assert 3_000 < ours - machines < 4_200
        assert abs(movable_clock.now() - ours) < abs(movable_clock.now() - machines)
    movable_clock.move(days=1)
    async with database.write() as db:
        await db.execute(update(things).values(number=cast(db_now(), BigInteger)))
        written = set((await db.execute(select(things.c.number))).scalars())
    assert len(written) == 1
    assert written.pop() > ours + 80_000


def test_a_statement_that_is_compiled_once_cannot_hold_a_clock_that_moves() -> None:
    with pytest.raises(ValueError, match="pass the time"):
        CompiledSelect(select(things.c.id).where(things.c.number <= db_now()))
    newer = upsert(things).values(id=bindparam("id"), number=bindparam("number"))
    newer = newer.on_conflict_do_update(index_elements=["id"], set_={"number": db_now()})
    with pytest.raises(ValueError, match="pass the time"):
        BulkUpsert(newer)


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Database]:
    async with tables_of(metadata, tmp_path / "small.db") as database:
        yield database


async def test_a_disk_that_is_full_is_a_fault_that_passes(small: Database) -> None:
    async def put() -> None:
        async with small.write() as db:
            await db.exec_driver_sql("PRAGMA max_page_count = 20")
            await db.execute(
                insert(things), [{"id": f"{n}", "body": bytes(5000)} for n in range(50)]
            )

    with pytest.raises(OperationalError, match="full") as refused:
        await put()
    assert is_transient(refused.value)
    async with small.write() as db:
        await db.execute(insert(things).values(id="fits"))
    assert await all_things(small) == {"fits": None}
