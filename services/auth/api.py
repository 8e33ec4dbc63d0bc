"""Serve auth's API to the other services: each route parses, calls one verb and answers.

Paths and shapes are in ``shared.contracts.auth``; errors are ``{"code", "detail"}``, mapped once.
"""

from __future__ import annotations

from typing import Any, Final

import structlog
from litestar import Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException, ValidationException
from litestar.params import FromPath, FromQuery, JSONBody, SkipValidation

from services.auth import store
from services.auth.connect import finish_flow, get_flow, open_flow, start_flow
from services.auth.context import InjectedContext
from services.auth.disconnect import disconnect
from services.auth.refresh import RefreshCoordinator, access_token
from shared.contracts.auth import (
    AccessToken,
    Callback,
    CallbackResult,
    Connections,
    ErrorBody,
    Flow,
    OpenedFlow,
    StartFlow,
    TokenRequest,
)
from shared.contracts.connections import Connection
from shared.errors import NotFound, TributaryError
from shared.transient import is_transient
from shared.web import error_body

_CODES: Final = {
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
}
log = structlog.get_logger()


@post("/flows", status_code=201)
async def start(data: JSONBody[StartFlow], context: InjectedContext) -> Flow:
    return await start_flow(data, context=context)


@get("/flows/{flow_id:str}")
async def show_flow(flow_id: FromPath[str], context: InjectedContext) -> Flow:
    return await get_flow(flow_id, context=context)


@post("/flows/{flow_id:str}/open", status_code=200)
async def open_in_browser(flow_id: FromPath[str], context: InjectedContext) -> OpenedFlow:
    return await open_flow(flow_id, context=context)


@post("/callback", status_code=200)
async def callback(data: JSONBody[Callback], context: InjectedContext) -> CallbackResult:
    return await finish_flow(data, context=context)


@get("/connections")
async def list_connections(
    context: InjectedContext,
    org_id: FromQuery[str | None] = None,
    user_id: FromQuery[str | None] = None,
    provider: FromQuery[str | None] = None,
) -> Connections:
    async with context.database.read() as db:
        found = await store.find_connections(db, org_id=org_id, user_id=user_id, provider=provider)
    return Connections(connections=found)


@get("/connections/{connection_id:str}")
async def show_connection(connection_id: FromPath[str], context: InjectedContext) -> Connection:
    async with context.database.read() as db:
        found = await store.get_connection(db, connection_id)
    if found is None:
        raise NotFound("There is no such connection.")
    return found


@delete("/connections/{connection_id:str}", status_code=200)
async def end_connection(connection_id: FromPath[str], context: InjectedContext) -> Connection:
    return await disconnect(connection_id, context=context)


@post("/connections/{connection_id:str}/token", status_code=200)
async def give_token(
    connection_id: FromPath[str],
    data: JSONBody[TokenRequest],
    context: InjectedContext,
    coordinator: NamedDependency[SkipValidation[RefreshCoordinator]],
) -> AccessToken:
    return await access_token(
        connection_id, data.stale_version, coordinator=coordinator, context=context
    )


ROUTES: Final = (
    start,
    show_flow,
    open_in_browser,
    callback,
    list_connections,
    show_connection,
    end_connection,
    give_token,
)


def _answer(status: int, code: str, detail: str) -> Response[ErrorBody]:
    return Response(
        ErrorBody(code=code, detail=detail), status_code=status, media_type="application/json"
    )


def _not_understood(_: Request[Any, Any, Any], error: ValidationException) -> Response[ErrorBody]:
    """Answer with the names of the bad fields and what is wrong, never with their values."""
    found = error.extra if isinstance(error.extra, list) else []
    fields = [
        f"{item.get('key', 'body')}: {item.get('message', '')}"
        for item in found
        if isinstance(item, dict)
    ]
    detail = "; ".join(fields)[:500] or "The request does not have the expected shape."
    return _answer(400, "bad_request", detail)


def _http_error(_: Request[Any, Any, Any], error: HTTPException) -> Response[ErrorBody]:
    status = error.status_code
    otherwise = "bad_request" if status < 500 else "internal"
    return _answer(status, _CODES.get(status, otherwise), error.detail[:500])


def _too_deep(_: Request[Any, Any, Any], __: RecursionError) -> Response[ErrorBody]:
    return _answer(400, "bad_request", "The request is nested too deep.")


def _unforeseen(_: Request[Any, Any, Any], error: Exception) -> Response[ErrorBody]:
    if is_transient(error):
        log.warning("database_away", error=type(error).__name__)
        return _answer(503, "unavailable", "The database does not answer. Try again in a moment.")
    log.error("request_failed", exc_info=error)
    return _answer(
        500, "internal", "Something failed in the auth service; its log says what. Try again."
    )


def exception_handlers() -> dict[int | type[Exception], Any]:
    return {
        TributaryError: error_body,
        ValidationException: _not_understood,
        HTTPException: _http_error,
        RecursionError: _too_deep,
        Exception: _unforeseen,
    }
