"""All routes of the gateway, and the handlers of their errors."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from litestar import Router, get
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler, ExceptionHandlersMap

from services.gateway import console
from services.gateway.connect import routes as connect
from services.gateway.connect.providers import get_providers
from services.gateway.connections import routes as connections
from services.gateway.dead_letters import routes as dead_letters
from services.gateway.http.openapi import OPENAPI_PATH
from services.gateway.http.parameters import only_declared
from services.gateway.http.problems import (
    on_fault,
    on_http_exception,
    on_recursion,
    on_tributary_error,
)
from services.gateway.items import routes as items
from services.gateway.legacy import routes as legacy
from services.gateway.security import routes as keys
from services.gateway.security.browser import SignInFirst, on_sign_in_first
from services.gateway.security.callers import Unauthorized
from services.gateway.security.guard import on_refused
from services.gateway.syncs import routes as syncs
from services.gateway.throttle import TooManyFailures
from shared.errors import TributaryError
from shared.version import VERSION

EXCEPTION_HANDLERS: Final[ExceptionHandlersMap] = {
    SignInFirst: on_sign_in_first,
    Unauthorized: on_refused,
    TooManyFailures: on_refused,
    TributaryError: on_tributary_error,
    HTTPException: on_http_exception,
    # Deeply nested JSON raises it. To Litestar that is no invalid input, so it would be a 500.
    RecursionError: on_recursion,
    Exception: on_fault,
}


class ServerVersion(msgspec.Struct, frozen=True, kw_only=True):
    """The server's name and version, and the version of its API."""

    name: Annotated[
        Literal["Tributary"], msgspec.Meta(description="The server's name.", examples=["Tributary"])
    ]
    version: Annotated[
        str, msgspec.Meta(description="The version of the released package.", examples=[VERSION])
    ]
    api_version: Annotated[
        Literal["v1"], msgspec.Meta(description="The first segment of every path.", examples=["v1"])
    ]


@get(
    "/version",
    tags=["Server"],
    summary="Get the server's version",
    response_description="The version.",
)
async def get_version() -> ServerVersion:
    """Return the server's version. Within an API version, fields are only ever added."""
    return ServerVersion(name="Tributary", version=VERSION, api_version="v1")


@get("/", include_in_schema=False)
async def index() -> dict[str, str]:
    return {"documentation": "/docs", "openapi": OPENAPI_PATH, "events": "/events"}


def routes() -> list[ControllerRouterHandler]:
    v1 = Router(
        path="/v1",
        before_request=only_declared,
        route_handlers=[
            index,
            get_version,
            get_providers,
            *connect.ROUTES,
            *connections.ROUTES,
            connect.delete_connection,
            *syncs.ROUTES,
            *items.ROUTES,
            *keys.ROUTES,
            *dead_letters.ROUTES,
        ],
    )
    first_page = Router(path="/", before_request=legacy.ping, route_handlers=[console.FIRST_PAGE])
    return [
        v1,
        connect.open_link,
        connect.get_callback,
        *legacy.ROUTES,
        first_page,
        *console.ROUTES,
    ]
