"""Compose the gateway: open what it needs in order, close it in reverse."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from litestar import Litestar

from services.gateway import store
from services.gateway.context import AuthClient, GatewayContext, Watch
from services.gateway.http.return_url import served_pages
from services.gateway.http.security_headers import MAX_BODY, SecurityHeaders, own_origins
from services.gateway.mend import look, lost_topics, read_again
from services.gateway.metrics import collectors, init_series
from services.gateway.project import listen
from services.gateway.routes import EXCEPTION_HANDLERS, routes
from services.gateway.security.guard import Guard, key_guard, provide_context
from services.gateway.settings import GatewaySettings
from shared.contracts.topics import TOPICS
from shared.crypto import Signer
from shared.db import Database
from shared.http import HttpClient, HttpError
from shared.kafka import Consumers, Producer, log_ids
from shared.log_marks import Comparing
from shared.service_database import open_database
from shared.telemetry import Collector, RequestContextMiddleware
from shared.telemetry.middleware import App
from shared.web import HostGuard, Methods, OneSegment, OpenResources, health, metrics

PART: Final = re.compile(rb"(/v1/connections/[^/]+/resources/[^/]+/parts/)([^/]+)(/[^/]+)?")
READY_S: Final = 2.0
"""Seconds that another service's health check may take to answer."""


@dataclass(frozen=True)
class Resources:
    """Everything that is open while the gateway runs."""

    context: GatewayContext
    http: HttpClient
    consumers: Consumers
    comparing: Comparing


@asynccontextmanager
async def open_resources(
    settings: GatewaySettings, *, served: Callable[[str], bool]
) -> AsyncIterator[Resources]:
    async with AsyncExitStack() as stack:
        init_series()
        opening = open_database(
            settings.database, migrations="services.gateway:migrations", cluster=settings.kafka
        )
        database = await stack.enter_async_context(opening)
        logs = await log_ids(settings.kafka, [topic.name for topic in TOPICS])
        await read_again(database, await lost_topics(database, logs, cluster=settings.kafka))
        http = await stack.enter_async_context(aclosing(HttpClient()))
        producer = Producer(settings.kafka, client_id="gateway")
        await producer.start()
        stack.push_async_callback(producer.stop)
        context = GatewayContext(
            settings=settings,
            database=database,
            auth=AuthClient(http, url=settings.auth_url, secret=settings.service_secret),
            watch=Watch(),
            log_ids=logs,
            page_tokens=Signer(settings.signing_secret),
            # The same secret for another purpose: a page token is never accepted as a handle.
            handles=Signer(settings.signing_secret, purpose="connection handle"),
            served=served,
        )
        sending = store.relay(database, producer)
        sending.start()
        stack.push_async_callback(sending.stop)
        consumers = Consumers(settings.kafka, service="gateway", producer=producer)
        providers = {slug: configured.provider for slug, configured in settings.providers.items()}
        listen(
            consumers,
            database=database,
            log_ids=context.log_ids,
            watch=context.watch,
            providers=providers,
        )
        await consumers.start()
        stack.push_async_callback(consumers.stop)
        comparing = _compare(stack, context, database)
        yield Resources(context, http, consumers, comparing)


def _compare(stack: AsyncExitStack, context: GatewayContext, database: Database) -> Comparing:
    """Look for topics that are lost while the gateway runs, until ``stack`` closes."""
    cluster, marks = context.settings.kafka, store.marks(context.log_ids)
    comparing = Comparing(lambda: look(database, marks, cluster=cluster))
    task = asyncio.create_task(comparing.run(), name="comparing")
    stack.callback(task.cancel)
    return comparing


def create_app(settings: GatewaySettings) -> App:
    """Return the public door: REST, event streams, the console and the providers' callbacks."""
    opened = OpenResources(lambda running: open_resources(settings, served=served_pages(running)))

    async def checks() -> Mapping[str, str]:
        at = opened.resources
        if at is None:
            return {"gateway": "still starting"}
        failing = {**at.consumers.failing, **await at.context.database.trouble()}
        others = await not_ready(settings.ready_urls, http=at.http)
        return {**failing, **at.comparing.trouble, **others}

    def current_collectors() -> Mapping[str, Collector]:
        at = opened.resources
        return collectors(at.context.database, at.consumers) if at else {}

    context = opened.get("context")
    guard = key_guard(context, keys_required=settings.keys_required)
    extra = [health(checks), metrics(current_collectors)]
    app = litestar_app(context, guards=[guard], lifespan=[opened.lifespan], extra=extra)
    # Origins come before hosts and routes: a foreign page learns nothing but that it is foreign.
    edge = SecurityHeaders(
        HostGuard(OneSegment(Methods(app), PART), settings.hosts, setting="TRIBUTARY_PUBLIC_URL"),
        own=own_origins(settings.public_url, settings.hosts),
        allowed=settings.allowed_origins,
    )
    # Outermost, so that refusals carry a request id too.
    return RequestContextMiddleware(edge, service="gateway")


async def not_ready(urls: Sequence[str], *, http: HttpClient) -> Mapping[str, str]:
    """Return health address → what is wrong, for each one that does not answer 200."""
    found = await asyncio.gather(*(_wrong(url, http) for url in urls))
    return {url: wrong for url, wrong in zip(urls, found, strict=True) if wrong}


async def _wrong(url: str, http: HttpClient) -> str | None:
    try:
        answer = await http.request("GET", url, timeout_s=READY_S)
    except HttpError as error:
        return error.detail
    return None if answer.status == 200 else f"answers {answer.status}"


def litestar_app(
    context: Callable[[], GatewayContext],
    *,
    guards: list[Guard],
    lifespan: list[Any] | None = None,
    extra: Sequence[Any] = (),
) -> Litestar:
    """Return the routes with their error handlers. The API's schema is generated from it too."""
    return Litestar(
        route_handlers=[*routes(), *extra],
        guards=guards,
        dependencies={"context": provide_context(context)},
        lifespan=lifespan,
        exception_handlers=EXCEPTION_HANDLERS,
        # Litestar's own pages load their scripts from a CDN, which our policy forbids.
        openapi_config=None,
        request_max_body_size=MAX_BODY,
        logging_config=None,
    )


def bare_app() -> Litestar:
    """Return the routes without anything that runs: to be described, never called."""

    def nothing() -> GatewayContext:
        raise NotImplementedError

    return litestar_app(nothing, guards=[])
