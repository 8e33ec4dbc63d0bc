"""Compose the fetcher: open what it needs in order, close it in reverse."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from litestar import Litestar
from redis.asyncio import Redis

from services.fetcher import plan, store
from services.fetcher.call import Tokens
from services.fetcher.context import FetcherContext
from services.fetcher.mend import Stores, look, mend, not_whole
from services.fetcher.metrics import collectors, init_series
from services.fetcher.reap import arrive, keep_alive, leave
from services.fetcher.settings import FetcherSettings
from services.fetcher.store import relay as open_relay
from services.fetcher.worker import Worker
from shared.connector import Connector, LeavesOut, Provider
from shared.db import Database
from shared.errors import TributaryError
from shared.exit_codes import GIVEN_UP
from shared.http import HttpClient
from shared.kafka import Consumers, Producer, log_ids
from shared.log_marks import Comparing
from shared.outbox import Relay
from shared.providers import load_connector
from shared.quota import Quota
from shared.service_database import open_database
from shared.telemetry import Collector, RequestContextMiddleware
from shared.telemetry.middleware import App
from shared.web import HostGuard, Methods, OpenResources, error_body, health, metrics, services_only


@dataclass(frozen=True)
class Resources:
    """Hold everything that is open while the fetcher runs."""

    database: Database
    consumers: Consumers
    worker: Worker
    comparing: Comparing


@asynccontextmanager
async def open_resources(
    settings: FetcherSettings, redis: Redis | None
) -> AsyncIterator[Resources]:
    async with AsyncExitStack() as stack:
        init_series(settings.providers)
        opening = open_database(
            settings.database, migrations="services.fetcher:migrations", cluster=settings.kafka
        )
        database = await stack.enter_async_context(opening)
        producer = Producer(settings.kafka, client_id="fetcher")
        await producer.start()
        stack.push_async_callback(producer.stop)
        if redis is not None:
            stack.push_async_callback(redis.aclose)
        context = await _context(settings, stack, database=database, producer=producer, redis=redis)
        worker = Worker(context, slots=settings.slots)
        consumers = Consumers(settings.kafka, service="fetcher", producer=producer)
        plan.listen(consumers, database=database, providers=_providers(settings))
        worker.listen(consumers)
        # Before anything is sent or read: what is missing on either side is to be known by then.
        stores = await _stores(settings, database)
        await mend(stores)
        relay = open_relay(database, producer, stores.marks)
        await arrive(database, worker.id, alone=settings.alone)
        await _start(stack, context, worker=worker, relay=relay, consumers=consumers)
        comparing = Comparing(lambda: look(stores))
        _keep(stack, comparing.run(), name="comparing")
        yield Resources(database, consumers, worker, comparing)


async def _start(
    stack: AsyncExitStack,
    context: FetcherContext,
    *,
    worker: Worker,
    relay: Relay,
    consumers: Consumers,
) -> None:
    """Start the relay, heartbeat and consumers; ``stack`` stops them in reverse order."""
    relay.start()
    stack.push_async_callback(relay.stop)
    stack.push_async_callback(leave, context.database, worker.id)
    beating = keep_alive(context.database, worker.id, died=leave_at_once)
    _keep(stack, beating, name="heartbeat")
    stack.push_async_callback(worker.stop)
    await consumers.start()
    stack.push_async_callback(consumers.stop)
    # This is called first, so that the runs end while the consumers are stopping.
    stack.callback(context.stopping.set)


def _keep(stack: AsyncExitStack, work: Coroutine[Any, Any, None], *, name: str) -> None:
    """Run something until ``stack`` closes."""
    stack.push_async_callback(_cancel, asyncio.create_task(work, name=name))


async def _stores(settings: FetcherSettings, database: Database) -> Stores:
    return Stores(
        database=database,
        marks=store.marks(await log_ids(settings.kafka, list(store.WRITTEN))),
        cluster=settings.kafka,
        providers=_providers(settings),
    )


def _providers(settings: FetcherSettings) -> dict[str, Provider]:
    return {slug: runtime.provider for slug, runtime in settings.providers.items()}


async def _context(
    settings: FetcherSettings,
    stack: AsyncExitStack,
    *,
    database: Database,
    producer: Producer,
    redis: Redis | None,
) -> FetcherContext:
    auth_http = HttpClient()
    stack.push_async_callback(auth_http.aclose)
    clients: Mapping[str, HttpClient] = {slug: HttpClient() for slug in settings.providers}
    for client in clients.values():
        stack.push_async_callback(client.aclose)
    return FetcherContext(
        database=database,
        producer=producer,
        runtimes=settings.providers,
        connectors=connectors(settings),
        http=clients,
        quota=Quota(redis),
        tokens=Tokens(auth_http, settings),
        max_pages=settings.max_pages,
        give_up_after_s=settings.give_up_after_s,
    )


def connectors(settings: FetcherSettings) -> dict[str, Connector]:
    """Return the connectors of all providers, by slug."""
    found = {slug: load_connector(slug) for slug in settings.providers}
    if settings.all_fields:
        for slug, connector in found.items():
            if isinstance(connector, LeavesOut):
                found[slug] = connector.with_all_fields()
    return found


def leave_at_once() -> None:
    """End this process without flushing its producer."""
    # What the producer still holds is old by now. If it were appended late, compaction would keep
    # it instead of what another worker has sent since.
    os._exit(GIVEN_UP)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def create_app(settings: FetcherSettings, *, redis: Redis | None) -> App:
    """Return the fetcher as an ASGI application that serves its health and metrics.

    It works from the start of the lifespan to its end. Without ``redis`` it shares no quota with
    other fetchers.
    """
    opened = OpenResources(lambda _: open_resources(settings, redis))

    async def checks() -> Mapping[str, str]:
        at = opened.resources
        if at is None:
            return {"fetcher": "still starting"}
        trouble = await at.database.trouble()
        trouble = trouble or await not_whole(at.database)
        return {**at.consumers.failing, **at.comparing.trouble, **trouble}

    def current_collectors() -> Mapping[str, Collector]:
        at = opened.resources
        if at is None:
            return {}
        return collectors(
            at.database, at.consumers, slots=settings.slots, in_use=lambda: at.worker.busy
        )

    app = Litestar(
        route_handlers=[health(checks), metrics(current_collectors)],
        lifespan=[opened.lifespan],
        guards=[services_only(settings.service_secret)],
        exception_handlers={TributaryError: error_body},
        openapi_config=None,
        logging_config=None,
    )
    return RequestContextMiddleware(HostGuard(Methods(app), settings.hosts), service="fetcher")
