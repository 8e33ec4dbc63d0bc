"""PostgreSQL goes away, comes back, runs out or hangs: only the transaction under way is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from deploy.servers import Postgres
from shared.db import Database, Schema
from shared.settings import SecretStr
from shared.transient import is_transient
from tests.contract.tables import counters, metadata, things
from tests.servers.places import tables_of
from tests.support.waiting import until

CUT_OFF = text(
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client "
    "backend'"
)


@pytest.fixture
async def database(schema: Schema) -> AsyncIterator[Database]:
    async with tables_of(metadata, schema) as database:
        async with database.write() as db:
            await db.execute(insert(counters).values(name="c", value=0))
        yield database


@pytest.fixture
async def another(database: Database, schema: Schema) -> AsyncIterator[Database]:
    another = Database(schema)
    yield another
    await another.close()


async def add_one(database: Database) -> None:
    async with database.write() as db:
        await db.execute(update(counters).values(value=counters.c.value + 1))


async def value(database: Database) -> int:
    async with database.read() as db:
        return int((await db.execute(select(counters.c.value))).scalar_one())


async def tries(database: Database, failures: list[Exception] | None = None) -> int:
    """Try until one was added; return how often it failed, each time as something that passes."""
    failures = [] if failures is None else failures

    async def added() -> bool:
        try:
            await add_one(database)
        except Exception as error:
            if not is_transient(error):
                raise
            failures.append(error)
            return False
        return True

    await until(added)
    return len(failures)


async def test_whoever_forgets_an_open_transaction_loses_it_and_holds_nobody_up_for_ever(
    database: Database, another: Database
) -> None:
    async with database.read() as db:
        assert (
            await db.exec_driver_sql("SHOW idle_in_transaction_session_timeout")
        ).scalar_one() == "10s"

    async def forget() -> None:
        async with database.write() as db:
            await db.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = '300ms'")
            await db.execute(update(counters).values(value=100))
            await add_one(another)  # waits for the row
            await db.execute(update(counters).values(value=100))

    with pytest.raises(DBAPIError) as lost:
        await forget()
    assert is_transient(lost.value)
    assert await value(database) == 1
    assert await tries(database) == 0


async def test_a_lock_that_somebody_holds_too_long_is_a_fault_that_passes(
    database: Database, another: Database
) -> None:
    async with database.write(lock="one") as db:
        await db.execute(update(counters).values(value=5))
        for lock in ("one", None):
            begun = time.monotonic()
            with pytest.raises(DBAPIError, match="lock timeout") as late:
                async with another.write(lock=lock) as other:
                    await other.execute(update(counters).values(value=6))
            assert is_transient(late.value)
            assert time.monotonic() - begun > 1.5
        async with another.write(lock="other"):
            pass  # another lock is nobody's business
    assert await value(another) == 5


async def test_a_deadlock_is_a_fault_that_passes_for_one_and_none_for_the_other(
    database: Database, another: Database
) -> None:
    async with database.write() as db:
        await db.execute(insert(counters), [{"name": "a", "value": 0}, {"name": "b", "value": 0}])
    both_hold = asyncio.Barrier(2)

    async def cross(one: Database, *names: str) -> BaseException | None:
        try:
            async with one.write() as db:
                await db.exec_driver_sql("SET LOCAL deadlock_timeout = '100ms'")
                for name in names:
                    await db.execute(
                        update(counters).where(counters.c.name == name).values(value=1)
                    )
                    if name == names[0]:
                        await both_hold.wait()
        except DBAPIError as error:
            return error
        return None

    failed = [
        one
        for one in await asyncio.gather(cross(database, "a", "b"), cross(another, "b", "a"))
        if one
    ]
    assert [is_transient(one) for one in failed] == [True]


@pytest.mark.parametrize(
    ("statement", "passes"),
    [
        ("SET LOCAL statement_timeout = '50ms'; SELECT pg_sleep(5)", True),
        (
            (
                "SET LOCAL temp_file_limit = 64; SET LOCAL work_mem = 64; SELECT count(*) FROM "
                "GENERATED"
            ),
            True,
        ),
        ("SELECT 1 / 0", False),
        ("SELECT no_such_column", False),
    ],
)
async def test_a_limit_passes_and_a_mistake_stays(
    database: Database, statement: str, passes: bool
) -> None:
    rows = "(SELECT g, repeat('x', 500) FROM generate_series(1, 20000) g ORDER BY md5(g::text)) s"

    async def run() -> None:
        async with database.write() as db:
            for one in statement.replace("GENERATED", rows).split("; "):
                await db.exec_driver_sql(one)

    with pytest.raises(DBAPIError) as refused:
        await run()
    assert is_transient(refused.value) is passes
    assert await tries(database) == 0


async def test_sessions_that_an_operator_ended_are_opened_again(
    database: Database, another: Database
) -> None:
    await asyncio.gather(
        *(add_one(database) for _ in range(6)), *(value(database) for _ in range(4))
    )
    async with another.write() as db:
        assert (await db.execute(CUT_OFF)).scalar_one() >= 10
    assert await tries(database) <= 6
    assert await value(database) == 7


async def test_a_transaction_whose_session_was_ended_is_rolled_back(
    database: Database, another: Database
) -> None:
    async def cut_off() -> None:
        async with database.write() as db:
            await db.execute(update(counters).values(value=100))
            async with another.write() as other:
                await other.execute(CUT_OFF)
            await db.execute(select(func.count()).select_from(things))

    with pytest.raises(DBAPIError) as lost:
        await cut_off()
    assert is_transient(lost.value)
    assert await value(another) == 0


async def test_no_room_for_another_session_is_a_fault_that_passes(
    schema: Schema, real_postgres: str
) -> None:
    async with tables_of(metadata, schema) as database:
        async with database.write() as db:
            await db.execute(insert(counters).values(name="c", value=0))
        await database.close()
        operator = await asyncpg.connect(real_postgres)
        role = f"few_{schema.name}"
        await operator.execute(
            f"CREATE ROLE {role} LOGIN PASSWORD 'few' CONNECTION LIMIT 1;"
            f"GRANT ALL ON SCHEMA {schema.name} TO {role}; GRANT ALL ON ALL TABLES IN SCHEMA "
            f"{schema.name} TO {role}"
        )
        address = real_postgres.rpartition("@")[2]
        few = Database(
            Schema(url=SecretStr(f"postgresql://{role}:few@{address}"), name=schema.name)
        )
        holder = await asyncpg.connect(f"postgresql://{role}:few@{address}")
        failures: list[Exception] = []
        waiting = asyncio.create_task(tries(few, failures))
        await until(lambda: failures)
        await holder.close()
        assert await waiting > 0
        await few.close()
        await operator.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
        await operator.close()


async def test_a_server_that_is_killed_and_started_again_costs_the_open_transactions_and_no_more(
    own_postgres: Postgres,
) -> None:
    place = Schema(url=SecretStr(own_postgres.url), name="restarted")
    async with tables_of(metadata, place) as database:
        async with database.write() as db:
            await db.execute(insert(counters).values(name="c", value=0))
        added = asyncio.create_task(keeps_adding(database, 12))
        await asyncio.to_thread(own_postgres.kill)
        assert "database" in await database.trouble()
        await asyncio.to_thread(own_postgres.start)
        certain, unsure = await added
        assert unsure > 0
        assert certain <= await value(database) <= certain + unsure
        assert await database.trouble() == {}


async def keeps_adding(database: Database, times: int) -> tuple[int, int]:
    """Return how many were added for certain, and how many failed, perhaps at commit."""
    certain = unsure = 0
    async with asyncio.timeout(90):
        while certain < times or not unsure:
            failed = await tries(database)
            certain, unsure = certain + 1, unsure + failed
    return certain, unsure


async def test_a_server_that_only_reads_is_a_fault_that_passes_and_is_told(
    schema: Schema, real_postgres: str
) -> None:
    async with tables_of(metadata, schema):
        operator, role = await asyncpg.connect(real_postgres), f"reads_{schema.name}"
        await operator.execute(
            f"CREATE ROLE {role} LOGIN PASSWORD 'reads'; ALTER ROLE {role} SET "
            "default_transaction_read_only = on;"
            f"GRANT ALL ON SCHEMA {schema.name} TO {role}; GRANT ALL ON ALL TABLES IN SCHEMA "
            f"{schema.name} TO {role}"
        )
        address = real_postgres.rpartition("@")[2]
        reads = Database(
            Schema(url=SecretStr(f"postgresql://{role}:reads@{address}"), name=schema.name)
        )
        with pytest.raises(DBAPIError, match="read-only") as refused:
            await add_one(reads)
        assert is_transient(refused.value)
        assert "database" in await reads.trouble()
        await reads.close()
        await operator.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
        await operator.close()


async def test_a_health_check_waits_for_nobodys_lock(schema: Schema) -> None:
    async with tables_of(metadata, schema):
        one, other = Database(schema, serial=True), Database(schema, serial=True)
        async with one.write():
            assert await other.trouble() == {}
        await one.close()
        await other.close()
