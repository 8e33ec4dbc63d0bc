"""The same holds where others run the servers: PostgreSQL, and a cluster that services share."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from deploy.kafka import Kafka
from deploy.localkafka import Broker
from deploy.native.upgrade import servers_started
from deploy.servers import ProgramUnavailable
from deploy.stores import databases
from deploy.upgrade.steps import FORMER_TOPICS
from shared.db import Database, Location, Schema, drop_tables, stored_layout
from shared.installation import provider_defaults
from shared.kafka import check_topics, drop_topics, topics_layout
from shared.layout import LAYOUT
from shared.settings import Cluster, SecretStr, Settings, load_settings
from tests.upgrade.restore import Restored
from tests.upgrade.running import Installation
from tests.upgrade.test_topics import OLD, append, known, make

pytestmark = pytest.mark.e2e

SERVICES = ("auth", "fetcher", "gateway")


@pytest.mark.parametrize(
    "command", ["deploy.local", "deploy.setup", *(f"services.{one}" for one in SERVICES)]
)
async def test_a_cluster_with_topics_of_before_is_refused_by_everything(
    tmp_path: Path, command: str
) -> None:
    """An empty installation refuses it too, before it has made anything."""
    broker = Broker(tmp_path / "elsewhere", port=0)
    await broker.start()
    cluster = Cluster(bootstrap=f"{broker.host}:{broker.port}")
    one = Installation(tmp_path)
    try:
        await make(cluster, *OLD)
        told = {"TRIBUTARY_KAFKA_BOOTSTRAP_SERVERS": cluster.bootstrap}
        said = await asyncio.to_thread(one.refusal, command, **told)
        assert (
            "What Kafka holds under our topics' names has layout 1, made by an older version"
            in said
        )
        assert not list(one.data.rglob("*.db"))
    finally:
        one.close()
        await broker.stop()


class OnServers(Installation):
    """Run on servers; ``location`` tells where a service's tables are."""

    def __init__(self, folder: Path, *, database_url: str, bootstrap: str) -> None:
        super().__init__(
            folder, TRIBUTARY_DATABASE_URL=database_url, TRIBUTARY_KAFKA_BOOTSTRAP_SERVERS=bootstrap
        )
        self.cluster = Cluster(bootstrap=bootstrap)
        self.restored: Restored
        self._url = SecretStr(database_url)

    def location(self, service: str) -> Location:
        return Schema(url=self._url, name=service)


async def take_over(file: Path, location: Location) -> None:
    """Move a restored SQLite file to PostgreSQL, as the recorded version would have stored it."""
    tables, rows = _taken(file)
    database = Database(location)
    async with database.changing() as db:
        await copied(db, tables, rows)
    await database.close()


def _taken(file: Path) -> tuple[sa.MetaData, dict[sa.Table, list[dict[str, object]]]]:
    found = sa.MetaData()
    engine = sa.create_engine(f"sqlite:///{file}")
    with engine.connect() as source:
        found.reflect(source)
        rows = {table: _rows(source, table) for table in found.sorted_tables}
    engine.dispose()
    file.unlink()
    return found, rows


def _rows(source: sa.Connection, table: sa.Table) -> list[dict[str, object]]:
    return [dict(row) for row in source.execute(table.select()).mappings()]


async def copied(
    db: AsyncConnection, tables: sa.MetaData, rows: dict[sa.Table, list[dict[str, object]]]
) -> None:
    for table in tables.sorted_tables:
        for column in table.columns:
            wide = isinstance(column.type, sa.Integer)
            column.type = sa.BigInteger() if wide else column.type.as_generic()
            column.server_default = None
        table.dialect_options.pop("sqlite", None)
    await db.run_sync(tables.create_all)
    for table in tables.sorted_tables:
        if rows[table]:
            await db.execute(table.insert(), rows[table])


@pytest.fixture
async def one(tmp_path: Path, real_postgres: str, own_kafka: Kafka) -> AsyncIterator[OnServers]:
    """Yield an installation of the old layout with its services stopped."""
    one = OnServers(tmp_path, database_url=real_postgres, bootstrap=own_kafka.bootstrap)
    try:
        one.restored = one.restore()
        for service in SERVICES:
            await take_over(one.data / f"{service}.db", one.location(service))
        await drop_topics(one.cluster, *FORMER_TOPICS)
        await make(one.cluster, *OLD)
        await known(one.cluster, *OLD)
        await append(one.cluster, OLD[0], b"a message of the old contract")
        yield one
    finally:
        one.close()
        for service in SERVICES:
            await emptied(one.location(service))


async def emptied(location: Location) -> None:
    database = Database(location)
    async with database.changing() as db:
        await drop_tables(db)
    await database.close()


@pytest.mark.real
@pytest.mark.variation
async def test_a_cluster_of_services_is_upgraded_and_everything_is_loaded_again(
    one: OnServers,
) -> None:
    said = await asyncio.to_thread(one.refusal, "deploy.setup")
    assert "The schema auth of the database has layout 1" in said
    assert "3 connections will be synced again" in await asyncio.to_thread(one.upgrade)
    assert [await stored_layout(one.location(service)) for service in SERVICES] == [LAYOUT] * 3
    await check_topics(one.cluster)
    await asyncio.to_thread(one.start)
    for provider, account in one.restored.connections.items():
        await asyncio.to_thread(one.loaded, provider, account)
    assert one.api("GET", "/v1/dead-letters")["dead_letters"] == []


@pytest.mark.real
@pytest.mark.variation
async def test_an_upgrade_that_was_killed_leaves_a_cluster_that_nothing_starts_with(
    one: OnServers,
) -> None:
    await asyncio.to_thread(one.kill_upgrade_at, "topics_dropped")
    assert await topics_layout(one.cluster) is None
    for command in ("deploy.setup", "services.auth"):
        assert "in the middle of an upgrade" in await asyncio.to_thread(one.refusal, command)
    await asyncio.to_thread(one.upgrade)
    await check_topics(one.cluster)


@pytest.mark.real
async def test_it_refuses_while_a_service_has_a_session(one: OnServers) -> None:
    database = Database(one.location("gateway"))
    async with database.read() as db:
        await db.execute(sa.text("SELECT 1"))
    # The session stays in the pool. In a transaction, PostgreSQL would end it after ten seconds.
    said = await asyncio.to_thread(one.refusal, "deploy.upgrade --yes")
    await database.close()
    assert "Services are running: 1 of their connections to the database" in said
    assert await stored_layout(one.location("auth")) == 1


@pytest.mark.real
@pytest.mark.variation
async def test_the_servers_of_the_native_stack_are_started_for_it(tmp_path: Path) -> None:
    one = Installation(tmp_path)
    try:
        one.restore()
        shutil.rmtree(one.data / "kafka")
        settings = load_settings(one.settings, providers=provider_defaults())
        async with natively(settings) as running:
            for service in SERVICES:
                await take_over(one.data / f"{service}.db", databases(running)[service])
            await make(running.kafka, *OLD)
        assert "3 connections will be synced again" in await asyncio.to_thread(one.upgrade)
        async with natively(settings) as running:
            assert [await stored_layout(location) for location in databases(running).values()] == [
                LAYOUT
            ] * 3
            await check_topics(running.kafka)
    finally:
        one.close()


@asynccontextmanager
async def natively(settings: Settings) -> AsyncIterator[Settings]:
    """Run PostgreSQL and Kafka, and yield settings for them; skip where they are unavailable."""
    with ExitStack() as stack:
        try:
            installation = stack.enter_context(servers_started(settings))
        except ProgramUnavailable as reason:
            pytest.skip(f"no full stack here: {reason}")
        yield installation.settings
