"""All routes of the API, and what becomes of their errors."""

from __future__ import annotations

from typing import Any, Final

from litestar import Request, Response, Router, get
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler, ExceptionHandlersMap

from services.gateway.access import SignInFirst, on_sign_in_first
from services.gateway.api import connect, connections, dead_letters, docs, events, items, keys, original, stream, syncs
from services.gateway.api.parameters import only_declared
from services.gateway.api.problems import on_fault, on_http_exception, on_hub_error, on_recursion, wants_json
from shared.errors import HubError

EXCEPTION_HANDLERS: Final[ExceptionHandlersMap] = {
    SignInFirst: on_sign_in_first,
    HubError: on_hub_error,
    HTTPException: on_http_exception,
    RecursionError: on_recursion,
    Exception: on_fault,
}


@get("/", include_in_schema=False)
async def index() -> dict[str, str]:
    return {"documentation": "/docs", "openapi": docs.OPENAPI_PATH, "events": "/events"}


async def ping(request: Request[Any, Any, Any]) -> Response[dict[str, str]] | None:
    """A ``before_request`` hook: ``/`` is the console; a program gets what the original answered there."""
    if request.url.path == "/" and wants_json(request):
        return Response({"Ping": "Pong"}, status_code=200, media_type="application/json")
    return None


def routes() -> list[ControllerRouterHandler]:
    v1 = Router(
        path="/v1",
        before_request=only_declared,
        route_handlers=[
            index,
            connect.get_providers,
            connect.post_connect,
            connect.get_connect,
            connections.get_connections,
            connections.get_connection,
            connections.delete_connection,
            syncs.post_sync,
            syncs.get_sync,
            stream.get_events,
            items.get_items,
            items.get_item,
            keys.get_keys,
            keys.post_key,
            keys.delete_key,
            *dead_letters.HANDLERS,
        ],
    )
    compatible: list[ControllerRouterHandler] = [
        original.post_authorize,
        original.get_callback,
        original.post_credentials,
        original.post_load,
    ]
    pages: list[ControllerRouterHandler] = [connect.open_link, docs.docs_page, docs.docs_asset, *events.HANDLERS]
    return [v1, *compatible, *pages]
