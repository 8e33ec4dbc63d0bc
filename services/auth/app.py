"""Compose auth: open what it needs in order, close it in reverse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from litestar import Litestar
from litestar.di import Provide

from services.auth import api, store
from services.auth.context import AuthContext
from services.auth.mend import Stores, look, mend
from services.auth.metrics import collectors, init_series
from services.auth.oauth_client import TokenEndpoint
from services.auth.refresh import RefreshCoordinator
from services.auth.settings import AuthSettings
from services.auth.sweep import keep_sweeping
from shared.db import Database
from shared.http import HttpClient
from shared.kafka import Producer, log_ids
from shared.log_marks import Comparing, LogMarks
from shared.service_database import open_database
from shared.telemetry import Collector, RequestContextMiddleware
from shared.telemetry.middleware import App
from shared.web import HostGuard, Methods, OpenResources, health, metrics, services_only

BODY_CAP: Final = 1_048_576
"""Bytes of a request: 1 MiB, so that whatever a provider puts into a callback's query gets in and
is refused with a sentence."""
_REPLY_CAP: Final = 1_048_576
"""Bytes of a provider's reply: 1 MiB. A token reply is far smaller."""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Everything that is open from the start of the lifespan to its end."""

    context: AuthContext
    coordinator: RefreshCoordinator
    comparing: Comparing | None


def create_app(
    settings: AuthSettings, *, make_producer: Callable[[], Producer] | None = None
) -> App:
    """Return auth as an ASGI application. It opens nothing before its lifespan starts.

    ``make_producer`` replaces the connection to Kafka. The lifespan raises ``DecryptFailed`` or
    ``UnknownKey`` when the keys are not those that sealed the stored tokens.
    """
    opened = OpenResources(lambda _: open_resources(settings, make_producer=make_producer))

    async def checks() -> Mapping[str, str]:
        """Return what is wrong, by component; nothing when the database can be written."""
        # The producer needs no check: the lifespan starts it before the server takes requests.
        if opened.resources is None:
            return {"auth": "still starting"}
        at = opened.resources
        lost = at.comparing.trouble if at.comparing else {}
        return {**lost, **await at.context.database.trouble()}

    def current_collectors() -> Mapping[str, Collector]:
        return collectors(opened.resources.context.database) if opened.resources else {}

    app = Litestar(
        route_handlers=[*api.ROUTES, health(checks), metrics(current_collectors)],
        lifespan=[opened.lifespan],
        dependencies={
            name: Provide(opened.get(name), sync_to_thread=False)
            for name in ("context", "coordinator")
        },
        guards=[services_only(settings.service_secret)],
        exception_handlers=api.exception_handlers(),
        request_max_body_size=BODY_CAP,
        openapi_config=None,
        logging_config=None,
    )
    return RequestContextMiddleware(HostGuard(Methods(app), settings.hosts), service="auth")


@asynccontextmanager
async def open_resources(
    settings: AuthSettings, *, make_producer: Callable[[], Producer] | None = None
) -> AsyncIterator[Resources]:
    """Open what auth needs in order, and close it in reverse.

    Raises:
        DecryptFailed, UnknownKey: the keys are not those that sealed the stored tokens.
    """
    async with AsyncExitStack() as stack:
        init_series(settings.providers)
        opening = open_database(
            settings.database,
            migrations="services.auth:migrations",
            cluster=settings.kafka if make_producer is None else None,
            durable=True,
            serial=True,
        )
        database = await stack.enter_async_context(opening)
        async with database.write() as db:
            await store.prove_keys(db, settings.keyring)
        producer = (make_producer or partial(Producer, settings.kafka, client_id="auth"))()
        stack.push_async_callback(producer.stop)
        await producer.start()
        marks = comparing = None
        if make_producer is None:
            marks, comparing = await _compared(settings, database, stack)
        relay = store.relay(database, producer, marks)
        stack.push_async_callback(relay.stop)
        relay.start()
        context = AuthContext(
            database=database,
            keyring=settings.keyring,
            endpoints=_endpoints(settings, stack),
            public_url=settings.public_url,
        )
        coordinator = RefreshCoordinator(context)
        stack.push_async_callback(coordinator.stop)
        _start_sweeper(context, coordinator, stack)
        yield Resources(context=context, coordinator=coordinator, comparing=comparing)


async def _compared(
    settings: AuthSettings, database: Database, stack: AsyncExitStack
) -> tuple[LogMarks, Comparing]:
    """Mend what was lost or restored, before anything is sent, and go on looking for it."""
    marks = store.marks(await log_ids(settings.kafka, list(store.WRITTEN)))
    stores = Stores(database=database, marks=marks, cluster=settings.kafka)
    await mend(stores)
    comparing = Comparing(lambda: look(stores))
    task = asyncio.create_task(comparing.run(), name="comparing")

    async def stop() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(stop)
    return marks, comparing


def _endpoints(settings: AuthSettings, stack: AsyncExitStack) -> dict[str, TokenEndpoint]:
    endpoints = {}
    for slug, runtime in settings.providers.items():
        http = HttpClient(body_cap=_REPLY_CAP)
        stack.push_async_callback(http.aclose)
        endpoints[slug] = TokenEndpoint(runtime, http)
    return endpoints


def _start_sweeper(
    context: AuthContext, coordinator: RefreshCoordinator, stack: AsyncExitStack
) -> None:
    stopping = asyncio.Event()
    task = asyncio.create_task(
        keep_sweeping(stopping, coordinator=coordinator, context=context), name="sweeper"
    )

    async def stop() -> None:
        """Cancel the sweeper."""
        # Its refreshes are the coordinator's tasks: they go on until the coordinator stops, and one
        # that is cut off stands in the journal.
        stopping.set()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(stop)
