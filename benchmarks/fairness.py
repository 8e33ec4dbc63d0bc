"""Measure how long a tenant waits for its first item while others have very much to load.

``python -m benchmarks.fairness`` runs a fetcher as it is (consumers, relay, worker with eight
slots) on the built-in broker and SQLite or, with ``--real``, on Kafka and PostgreSQL. Its provider
is in memory, takes 50 ms for a page and has as many tables as it is told to, so only the waiting
for one another is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer

from benchmarks.orchard import FEW, Endless, connection, orchard
from deploy.kafka import Kafka
from deploy.localkafka import Broker
from deploy.servers import Postgres
from services.fetcher import plan
from services.fetcher.context import FetcherContext
from services.fetcher.reap import arrive
from services.fetcher.settings import Runtime
from services.fetcher.store import relay
from services.fetcher.worker import Worker
from shared.contracts.connections import Connection
from shared.contracts.envelope import event
from shared.contracts.items import parse_key
from shared.contracts.topics import CONNECTIONS, ITEMS
from shared.db import Database, Schema
from shared.kafka import Consumers, Producer, ensure_topics
from shared.settings import Cluster, SecretStr

SLOTS = 8
LARGE, SMALL = "orchard", "garden"
PAUSE_S = 1.0
PATIENCE_S = 120.0


class Tenants:
    """Connect tenants, and listen for their first items."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._first: dict[str, asyncio.Event] = {}

    async def hear(self, consumer: AIOKafkaConsumer) -> None:
        async for record in consumer:
            if record.key is not None:
                self._first.setdefault(parse_key(record.key).connection_id, asyncio.Event()).set()

    async def first_item_s(self, source: Connection) -> float:
        """Return the seconds from the event of the connection to its first item on the topic."""
        begun, first = time.perf_counter(), self._first.setdefault(source.id, asyncio.Event())
        await self._told(source, "Connected")
        async with asyncio.timeout(PATIENCE_S):
            await first.wait()
        return time.perf_counter() - begun

    async def leave(self, source: Connection) -> None:
        await self._told(source, "Disconnected", version=2, status="disconnected")

    async def _told(self, source: Connection, kind: str, **changes: object) -> None:
        body = msgspec.structs.replace(source, **changes)
        await self._producer.send_all(
            [event(CONNECTIONS, key=source.id, kind=kind, source="auth", body=body)]
        )


@asynccontextmanager
async def fetcher(
    cluster: Cluster, place: Path | Schema, tables: int, page_s: float
) -> AsyncIterator[Tenants]:
    async with AsyncExitStack() as stack:
        database = Database(place)
        stack.push_async_callback(database.close)
        await database.migrate("services.fetcher:migrations")
        producer = Producer(cluster, client_id="fetcher")
        await producer.start()
        stack.push_async_callback(producer.stop)
        endless = Endless(page_s)
        providers = {LARGE: orchard(LARGE, tables), SMALL: orchard(SMALL, FEW)}
        context = FetcherContext(
            database=database,
            producer=producer,
            runtimes={
                slug: Runtime(provider=one, client_id="", api_url="")
                for slug, one in providers.items()
            },
            connectors=dict.fromkeys(providers, endless),
            http=dict.fromkeys(providers),  # type: ignore[arg-type]  # nothing is called
            quota=None,  # type: ignore[arg-type]  # nothing is called
            tokens=endless,  # type: ignore[arg-type]  # nothing is called
        )
        worker = Worker(context, slots=SLOTS)
        consumers = Consumers(cluster, service="fetcher", producer=producer)
        plan.listen(consumers, database=database, providers=providers)
        worker.listen(consumers)
        await arrive(database, worker.id, alone=True)
        sending = relay(database, producer, marks=None)
        sending.start()
        stack.push_async_callback(sending.stop)
        stack.push_async_callback(worker.stop)
        await consumers.start()
        stack.push_async_callback(consumers.stop)
        yield await stack.enter_async_context(_hearing(cluster, Tenants(producer)))


@asynccontextmanager
async def _hearing(cluster: Cluster, tenants: Tenants) -> AsyncIterator[Tenants]:
    consumer = AIOKafkaConsumer(ITEMS, bootstrap_servers=cluster.bootstrap, fetch_max_wait_ms=20)
    await consumer.start()
    hearing = asyncio.create_task(tenants.hear(consumer))
    try:
        yield tenants
    finally:
        hearing.cancel()
        await asyncio.wait([hearing])
        await consumer.stop()


@asynccontextmanager
async def servers(folder: Path, *, real: bool) -> AsyncIterator[tuple[Cluster, Path | Schema]]:
    async with AsyncExitStack() as stack:
        place: Path | Schema = folder / "fetcher.db"
        if real:
            kafka, postgres = Kafka(folder / "kafka"), Postgres(folder / "postgres" / "data")
            for server in (kafka, postgres):
                stack.callback(server.close)
                await asyncio.to_thread(server.start)
            cluster = Cluster(bootstrap=kafka.bootstrap)
            place = Schema(url=SecretStr(postgres.url), name="fetcher")
        else:
            broker = Broker(folder / "kafka", port=0)
            await broker.start()
            stack.push_async_callback(broker.stop)
            cluster = Cluster(bootstrap=f"127.0.0.1:{broker.port}")
        await ensure_topics(cluster, local=not real)
        yield cluster, place


async def measure(tenants: Tenants, large: int, times: int, tables: int) -> list[float]:
    """Measure the first items of small tenants, one after another, while ``large`` others load."""
    big = [connection(f"large-{large}-{number}", LARGE, tables) for number in range(large)]
    for one in big:
        took = await tenants.first_item_s(one)
        print(
            f"  a tenant with {len(one.resources):,} tables had its own first item after "
            f"{took:.2f} s"
        )
    await asyncio.sleep(PAUSE_S)
    found = []
    for number in range(times):
        small = connection(f"small-{large}-{number}", SMALL, FEW)
        found.append(await tenants.first_item_s(small))
        await tenants.leave(small)
        await asyncio.sleep(PAUSE_S / 2)
    if big:
        late, behind = (
            connection(f"late-{large}", LARGE, tables),
            connection(f"behind-{large}", SMALL, FEW),
        )
        together = await asyncio.gather(tenants.first_item_s(late), tenants.first_item_s(behind))
        print(f"  connected in the same moment as one more of them: {together[1]:.2f} s")
        big += [late, behind]
    for one in big:
        await tenants.leave(one)
    return found


async def run(given: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="tributary-fairness-") as folder:
        async with (
            servers(Path(folder), real=given.real) as (cluster, place),
            fetcher(cluster, place, given.tables, given.page_ms / 1000) as tenants,
        ):
            alone = await measure(tenants, 0, given.times, given.tables)
            _say("alone", alone, alone)
            for large in given.large:
                found = await measure(tenants, large, given.times, given.tables)
                _say(f"beside {large} with {given.tables:,} tables", found, alone)
                await asyncio.sleep(PAUSE_S)


def _say(how: str, found: list[float], alone: list[float]) -> None:
    later = statistics.median(found) - statistics.median(alone)
    spread = f"{statistics.median(found):.3f} s ({min(found):.3f} to {max(found):.3f})"
    print(f"{how}: first item after {spread}, {later:+.3f} s", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.fairness", description=__doc__)
    parser.add_argument("--tables", type=int, default=1000)
    parser.add_argument("--page-ms", type=float, default=50)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--large", type=int, nargs="*", default=[1, 3])
    parser.add_argument("--real", action="store_true")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    asyncio.run(run(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
