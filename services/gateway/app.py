"""Composes the gateway: opens what it needs in order, closes it in reverse."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from litestar import Litestar
from litestar.di import Provide

from services.gateway.api.docs import openapi_config
from services.gateway.api.edge import MAX_BODY, Edge, own_origins, page_policy
from services.gateway.api.ready import not_ready
from services.gateway.api.routes import EXCEPTION_HANDLERS, ping, routes
from services.gateway.api.served import served_pages
from services.gateway.clients import AuthClient
from services.gateway.console import routes as console
from services.gateway.consumers import listen
from services.gateway.hub import Hub
from services.gateway.settings import GatewaySettings
from services.gateway.store.messages import relay
from services.gateway.watch import Watch
from shared.crypto import Signer
from shared.db import Database
from shared.http import HttpClient
from shared.kafka import Consumers, Producer, cluster_id
from shared.telemetry import RequestContextMiddleware
from shared.telemetry.middleware import App
from shared.web import HostGuard, health


@dataclass(frozen=True)
class Resources:
    """All that is open while the gateway runs."""

    hub: Hub
    http: HttpClient
    consumers: Consumers


@asynccontextmanager
async def open_resources(settings: GatewaySettings, *, served: Callable[[str], bool]) -> AsyncIterator[Resources]:
    async with AsyncExitStack() as stack:
        database = Database(settings.database)
        stack.push_async_callback(database.close)
        await database.migrate("services.gateway:migrations")
        http = HttpClient()
        stack.push_async_callback(http.aclose)
        producer = Producer(settings.bootstrap, client_id="gateway")
        await producer.start()
        stack.push_async_callback(producer.stop)
        hub = Hub(
            settings=settings,
            database=database,
            auth=AuthClient(http, url=settings.auth_url, secret=settings.service_secret),
            watch=Watch(),
            log_id=await cluster_id(settings.bootstrap),
            page_tokens=Signer(settings.signing_secret),
            handles=Signer(settings.signing_secret, purpose="connection handle"),
            served=served,
        )
        sending = relay(database, producer)
        sending.start()
        stack.push_async_callback(sending.stop)
        consumers = Consumers(settings.bootstrap, service="gateway", producer=producer)
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
        failing = opened[0].consumers.failing
        return {**failing, **await not_ready(settings.ready_urls, http=opened[0].http)}

    app = litestar_app(
        hub=Provide(lambda: opened[0].hub, sync_to_thread=False), lifespan=[lifespan], extra=[health(checks)]
    )
    edge = Edge(
        HostGuard(app, settings.hosts),
        own=own_origins(settings.public_url, settings.hosts),
        allowed=settings.allowed_origins,
        page_policy=page_policy(
            settings.public_url, [origin for offered in settings.providers.values() for origin in offered.origins]
        ),
    )
    return RequestContextMiddleware(edge, service="gateway")


def litestar_app(*, hub: Provide, lifespan: list[Any], extra: list[Any]) -> Litestar:
    """The routes with their errors; also what the API's schema is generated from."""
    return Litestar(
        route_handlers=[*routes(), *console, *extra],
        dependencies={"hub": hub},
        lifespan=lifespan,
        before_request=ping,
        exception_handlers=EXCEPTION_HANDLERS,
        openapi_config=openapi_config(),
        request_max_body_size=MAX_BODY,
        logging_config=None,
    )


def openapi_document() -> dict[str, Any]:
    """The API's schema as OpenAPI 3.1, without anything running."""
    return litestar_app(
        hub=Provide(lambda: None, sync_to_thread=False), lifespan=[], extra=[]
    ).openapi_schema.to_schema()
