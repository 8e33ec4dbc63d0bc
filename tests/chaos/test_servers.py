"""PostgreSQL and Redis fail badly: no truth is lost, and what may be forgotten is not missed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import asyncpg
import pytest
import redis
from aiokafka.admin import AIOKafkaAdminClient

from shared.contracts.topics import ITEMS
from tests.chaos.load import Load, begin, held, pace, released
from tests.chaos.modes import BlackHole, Reset
from tests.chaos.real import RealStack
from tests.chaos.stack import Stack
from tests.chaos.topic import Topic
from tests.support.waiting import eventually, until

pytestmark = pytest.mark.e2e

LONG = {"companies": 1500, "contacts": 1500, "deals": 1500}
AWAY_S = 5.0
Fault = Callable[[RealStack], Any]


@pytest.fixture
def real(running: Stack) -> RealStack:
    assert isinstance(running, RealStack)
    return running


def load_through(real: RealStack, topic: Topic, fault: Fault) -> None:
    """Load while the fault comes and goes."""
    pace(real, latency_ms=150)
    held(real)
    load = begin(real, LONG)
    load.under_way()
    with fault(real):
        released(real)
        time.sleep(AWAY_S)
    pace(real)
    load.done()
    load.clean(topic)
    eventually(real.ready)


@contextmanager
def killed(real: RealStack, name: str) -> Iterator[None]:
    real[name].kill()
    yield
    real[name].start()


@contextmanager
def frozen(real: RealStack, name: str) -> Iterator[None]:
    real[name].pause()
    yield
    real[name].resume()


@contextmanager
def flushed(real: RealStack) -> Iterator[None]:
    with redis.Redis.from_url(real.redis.url) as client:
        for _ in range(20):
            client.flushall()
            time.sleep(0.1)
        yield


@contextmanager
def out_of_memory(real: RealStack) -> Iterator[None]:
    with redis.Redis.from_url(real.redis.url) as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", "1")
        yield
        client.config_set("maxmemory", "0")


REDIS: dict[str, Fault] = {
    "killed": lambda real: killed(real, "redis"),
    "frozen": lambda real: frozen(real, "redis"),
    "flushed": flushed,
    "out of memory": out_of_memory,
    "reset": lambda real: real.proxies["redis"].being(Reset()),
    "silent": lambda real: real.proxies["redis"].being(BlackHole()),
}


@pytest.mark.parametrize("fault", REDIS)
def test_F09_without_redis_syncs_go_on_and_stay_correct(
    real: RealStack, topic: Topic, fault: str
) -> None:
    load_through(real, topic, REDIS[fault])


@contextmanager
def terminated(real: RealStack) -> Iterator[None]:
    """Terminate every session, again and again."""
    others = "pid <> pg_backend_pid() AND datname IS NOT NULL"
    for _ in range(5):
        asyncio.run(
            _run(real, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
        )
        time.sleep(0.3)
    yield


async def _run(real: RealStack, query: str) -> None:
    connection = await asyncpg.connect(real.postgres.url)
    try:
        await connection.execute(query)
    finally:
        await connection.close()


@contextmanager
def used_up(real: RealStack) -> Iterator[None]:
    """Take all connections that are left, and keep them."""
    with asyncio.Runner() as runner:
        held = runner.run(_take_all(real))
        yield
        runner.run(_give_back(held))


async def _take_all(real: RealStack) -> list[Any]:
    held = []
    try:
        while True:
            held.append(await asyncpg.connect(real.postgres.url))
    except asyncpg.TooManyConnectionsError:
        return held


async def _give_back(held: list[Any]) -> None:
    for one in held:
        await one.close()


POSTGRES: dict[str, Fault] = {
    "killed": lambda real: killed(real, "postgres"),
    "frozen": lambda real: frozen(real, "postgres"),
    "sessions ended": terminated,
    "connections used up": used_up,
    "reset": lambda real: real.proxies["postgres"].being(Reset()),
    "silent": lambda real: real.proxies["postgres"].being(BlackHole()),
}


@pytest.mark.parametrize("fault", POSTGRES)
def test_F10_without_postgresql_no_page_is_half_and_all_goes_on_afterwards(
    real: RealStack, topic: Topic, fault: str
) -> None:
    load_through(real, topic, POSTGRES[fault])


@pytest.mark.parametrize(
    "table", ["fetcher.jobs", "fetcher.outbox", "gateway.items", "auth.credentials"]
)
def test_F11_a_table_that_is_locked_delays_and_loses_nothing(
    real: RealStack, topic: Topic, table: str
) -> None:
    @contextmanager
    def locked(real: RealStack) -> Iterator[None]:
        with asyncio.Runner() as runner:
            connection = runner.run(asyncpg.connect(real.postgres.url))
            runner.run(connection.execute(f"BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
            yield
            runner.run(connection.execute("ROLLBACK"))
            runner.run(connection.close())

    load_through(real, topic, locked)


def test_F12_deadlocks_are_tried_again_and_nobody_sees_them(real: RealStack, topic: Topic) -> None:
    """A client locks a batch's last row until the batch waits, then asks for earlier rows."""
    load = begin(real)
    load.done()
    old = _modified(load)
    load.change(update=0.9)
    changed = sorted(key for key, modified in _modified(load).items() if modified != old[key])
    before = asyncio.run(_deadlocks(real))
    load.again()
    asyncio.run(_lock_backwards(real, load.id, changed))
    load.done()
    load.clean(topic)
    eventually(lambda: asyncio.run(_deadlocks(real)) > before)


def _modified(load: Load) -> dict[tuple[str, str], str]:
    """Return resource and id → when it was last changed at the provider."""
    return {
        (resource, id_): row["modified"]
        for resource in load.counts
        for id_, row in load.stack.client.ledger(load.provider, load.account, resource).items()
    }


async def _lock_backwards(
    real: RealStack, connection_id: str, keys: Sequence[tuple[str, str]]
) -> None:
    connection = await asyncpg.connect(real.postgres.url)
    lock = (
        "SELECT 1 FROM gateway.items WHERE connection_id = $1 AND resource = $2 AND id = $3 "
        "FOR UPDATE"
    )
    # This waits for a row; there is always somebody who waits for an advisory lock.
    waits = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND "
        "application_name LIKE 'tributary%' "
        "AND wait_event IN ('transactionid', 'tuple')"
    )
    try:
        async with connection.transaction():
            # The last of every resource: a batch takes its rows in order, and holds all those
            # before it by then.
            for resource, id_ in dict(keys).items():
                await connection.execute(lock, connection_id, resource, id_)
            async with asyncio.timeout(60):
                # PostgreSQL tells nobody, so it is asked.
                while not await connection.fetchval(waits):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            for resource, id_ in reversed(keys):
                await connection.execute(lock, connection_id, resource, id_)
    except asyncpg.DeadlockDetectedError:
        return
    finally:
        await connection.close()


async def _deadlocks(real: RealStack) -> int:
    connection = await asyncpg.connect(real.postgres.url)
    try:
        return int(await connection.fetchval("SELECT sum(deadlocks) FROM pg_stat_database"))
    finally:
        await connection.close()


def test_a_topic_that_is_created_anew_is_noticed_and_filled_again_by_a_restart(
    real: RealStack,
) -> None:
    load = begin(real, LONG)
    load.done()
    asyncio.run(created_anew(real, ITEMS))
    real.clock.move(seconds=70)  # the services compare once a minute
    said = eventually(lambda: readiness(real) if "created anew" in readiness(real) else "")
    assert ITEMS in said
    for name in ("gateway", *real.fetchers):
        real[name].restart()
    eventually(real.ready)

    def filled() -> bool:
        with real.topic() as topic:
            return bool(load.verdict(topic).clean)

    eventually(filled, every=2.0)


async def created_anew(real: RealStack, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=real.client.bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([topic])

        async def gone() -> bool:
            return topic not in await admin.list_topics()

        await until(gone, every=0.2)
    finally:
        await admin.close()
    await asyncio.to_thread(real.setup)


def readiness(real: RealStack) -> str:
    return real.client.http.get(f"{real.client.url}/health/ready").text
