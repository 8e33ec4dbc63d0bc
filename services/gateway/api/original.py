"""The routes of the original app, for clients written against it. New ones use /v1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath

from services.gateway.api.forms import AccountForm, LoadForm, form_text
from services.gateway.api.pages import close_window, explain
from services.gateway.api.problems import answer, wants_json
from services.gateway.api.words import AnyRequest
from services.gateway.connect import Finished, finish_connect, start_connect
from services.gateway.hub import Hub, TheHub
from services.gateway.load import OriginalItem, given_handle, load_everything, newest_connection, pending_handle
from shared.contracts.connections import Connection
from shared.errors import BadRequest, NotFound

TAGS = ["Original routes"]
PATH = "/integrations/{provider:str}"


@post(f"{PATH}/authorize", status_code=200, tags=TAGS, summary="Start connecting", operation_class=AccountForm)
async def post_authorize(provider: FromPath[str], request: Request[Any, Any, Any], hub: TheHub) -> Response[bytes]:
    """Answers the link to open, as a bare JSON string."""
    _known(provider, hub)
    form = await form_text(request, "user_id", "org_id")
    flow = await start_connect(provider=provider, org_id=form["org_id"], user_id=form["user_id"], hub=hub)
    return Response(msgspec.json.encode(flow.authorize_url), status_code=200, media_type="application/json")


@get(f"{PATH}/oauth2callback", tags=TAGS, summary="Where a provider sends the browser back")
async def get_callback(provider: FromPath[str], request: Request[Any, Any, Any], hub: TheHub) -> Response[Any]:
    """A page that closes itself, a redirect to the flow's return_url, or a page that says what went wrong."""
    _known(provider, hub)
    params = {name: request.query_params.getall(name)[0] for name in request.query_params}
    finished = await finish_connect(provider, params=params, cookies=request.cookies, hub=hub)
    response = _failed(request, finished) if finished.error else _connected(request, finished)
    if finished.cookie:
        response.headers["set-cookie"] = finished.cookie
    response.headers["referrer-policy"] = "no-referrer"
    return response


@post(f"{PATH}/credentials", status_code=200, tags=TAGS, summary="A handle", operation_class=AccountForm)
async def post_credentials(provider: FromPath[str], request: Request[Any, Any, Any], hub: TheHub) -> dict[str, str]:
    """Answers an opaque handle of the newest active connection: tokens never leave the server."""
    _known(provider, hub)
    form = await form_text(request, "user_id", "org_id")
    return await pending_handle(provider=provider, org_id=form["org_id"], user_id=form["user_id"], hub=hub)


@post(f"{PATH}/load", status_code=200, tags=TAGS, summary="Load everything and wait", operation_class=LoadForm)
async def post_load(provider: FromPath[str], request: Request[Any, Any, Any], hub: TheHub) -> list[OriginalItem]:
    """Takes user_id and org_id, or credentials; answers every item of the newest active connection."""
    _known(provider, hub)
    connection = await _connection(provider, request, hub)
    return await load_everything(connection, hub=hub)


def _known(provider: str, hub: Hub) -> None:
    if provider not in hub.settings.providers:
        raise NotFound("There is no provider of that name here.")


async def _connection(provider: str, request: AnyRequest, hub: Hub) -> Connection:
    form = await form_text(request, optional=("credentials", "user_id", "org_id"))
    if handle := form.get("credentials"):
        return await given_handle(handle, provider=provider, hub=hub)
    form = await form_text(request, "user_id", "org_id")
    found = await newest_connection(provider=provider, org_id=form["org_id"], user_id=form["user_id"], hub=hub)
    if found is None:
        raise BadRequest("No credentials found. Connect the account first.", code="not_connected")
    return found


def _connected(request: AnyRequest, finished: Finished) -> Response[Any]:
    if wants_json(request):
        return Response(_status("connected", finished), media_type="application/json")
    if finished.return_url:
        return Response(None, status_code=303, headers={"location": finished.return_url})
    return close_window()


def _failed(request: AnyRequest, finished: Finished) -> Response[Any]:
    code, detail = (finished.error.code, finished.error.detail) if finished.error else ("", "")
    if wants_json(request):
        return answer(request, 400, code=code, detail=detail)
    return explain(400, detail, back=finished.return_url, popup=True)


def _status(status: str, finished: Finished) -> Mapping[str, str | None]:
    return {
        "status": status,
        "flow_id": finished.flow.flow_id if finished.flow else None,
        "connection_id": finished.connection.id if finished.connection else None,
    }
