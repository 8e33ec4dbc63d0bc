"""Composes the gateway: opens what it needs in order, closes it in reverse."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from litestar import Litestar, Request
from litestar.di import Provide

from services.gateway.access import Guard, bound_hub, key_guard
from services.gateway.api.docs import openapi_config
from services.gateway.api.edge import MAX_BODY, Edge, own_origins, page_policy
from services.gateway.api.ready import not_ready
from services.gateway.api.routes import EXCEPTION_HANDLERS, ping, routes
from services.gateway.api.served import served_pages
from services.gateway.clients import AuthClient
from services.gateway.console import routes as console
from services.gateway.consumers import listen
from services.gateway.hub import Hub
from services.gateway.metrics import from_zero, parts
from services.gateway.settings import GatewaySettings
from services.gateway.store.messages import relay
from services.gateway.watch import Watch
from shared.crypto import Signer
from shared.db import Database
from shared.http import HttpClient
from shared.kafka import Consumers, Producer, check_topics, cluster_id
from shared.telemetry import RequestContextMiddleware
from shared.telemetry.middleware import App
from shared.web import HostGuard, health, metrics


@dataclass(frozen=True)
class Resources:
    """All that is open while the gateway runs."""

    hub: Hub
    http: HttpClient
    consumers: Consumers


@asynccontextmanager
async def open_resources(settings: GatewaySettings, *, served: Callable[[str], bool]) -> AsyncIterator[Resources]:
    async with AsyncExitStack() as stack:
        from_zero()
        database = Database(settings.database)
        stack.push_async_callback(database.close)
        await database.migrate("services.gateway:migrations")
        http = HttpClient()
        stack.push_async_callback(http.aclose)
        await check_topics(settings.kafka)
        producer = Producer(settings.kafka, client_id="gateway")
        await producer.start()
        stack.push_async_callback(producer.stop)
        hub = Hub(
            settings=settings,
            database=database,
            auth=AuthClient(http, url=settings.auth_url, secret=settings.service_secret),
            watch=Watch(),
            log_id=await cluster_id(settings.kafka),
            page_tokens=Signer(settings.signing_secret),
            handles=Signer(settings.signing_secret, purpose="connection handle"),
            served=served,
        )
        sending = relay(database, producer)
        sending.start()
        stack.push_async_callback(sending.stop)
        consumers = Consumers(settings.kafka, service="gateway", producer=producer)
        providers = {slug: offered.provider for slug, offered in settings.providers.items()}
        listen(consumers, database=database, log_id=hub.log_id, watch=hub.watch, providers=providers)
        await consumers.start()
        stack.push_async_callback(consumers.stop)
        yield Resources(hub, http, consumers)


def create_app(settings: GatewaySettings) -> App:
    """The only public door: REST, events, the console and the providers' callbacks."""
    opened: list[Resources] = []

    @asynccontextmanager
    async def lifespan(running: Litestar) -> AsyncIterator[None]:
        async with open_resources(settings, served=served_pages(running)) as resources:
            opened.append(resources)
            yield
            opened.clear()

    async def checks() -> Mapping[str, str]:
        if not opened:
            return {"gateway": "still starting"}
        failing = {**opened[0].consumers.failing, **await opened[0].hub.database.trouble()}
        return {**failing, **await not_ready(settings.ready_urls, http=opened[0].http)}

    def hub() -> Hub:
        return opened[0].hub

    guard = key_guard(hub, keys_required=settings.keys_required)
    figures = metrics(lambda: parts(opened[0].hub.database, opened[0].consumers) if opened else {})
    app = litestar_app(hub, guards=[guard], lifespan=[lifespan], extra=[health(checks), figures])
    edge = Edge(
        HostGuard(app, settings.hosts),
        own=own_origins(settings.public_url, settings.hosts),
        allowed=settings.allowed_origins,
        page_policy=page_policy(
            settings.public_url, [origin for offered in settings.providers.values() for origin in offered.origins]
        ),
    )
    return RequestContextMiddleware(edge, service="gateway")


def litestar_app(
    hub: Callable[[], Hub], *, guards: list[Guard], lifespan: list[Any] | None = None, extra: Sequence[Any] = ()
) -> Litestar:
    """The routes with their errors; also what the API's schema is generated from."""

    def within(request: Request[Any, Any, Any]) -> Hub:
        return bound_hub(hub(), request)

    return Litestar(
        route_handlers=[*routes(), *console, *extra],
        guards=guards,
        dependencies={"hub": Provide(within, sync_to_thread=False)},
        lifespan=lifespan,
        before_request=ping,
        exception_handlers=EXCEPTION_HANDLERS,
        openapi_config=openapi_config(),
        request_max_body_size=MAX_BODY,
        logging_config=None,
    )


def bare_app() -> Litestar:
    """The routes and nothing that runs: to be described, not to be called."""

    def nothing() -> Hub:
        raise NotImplementedError

    return litestar_app(nothing, guards=[])


def openapi_document() -> dict[str, Any]:
    """The API's schema as OpenAPI 3.1."""
    return bare_app().openapi_schema.to_schema()
