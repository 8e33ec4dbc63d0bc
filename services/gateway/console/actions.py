"""What the console's forms do. Each answers with a page to go to, so that going back repeats nothing."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response, post
from litestar.params import FromPath, URLEncodedBody
from litestar.response import Redirect

from services.gateway.connect import start_connect
from services.gateway.console.acting import org_of, user_of
from services.gateway.console.desk import owned
from services.gateway.console.guard import same_origin
from services.gateway.console.pages import first_page
from services.gateway.console.render import THEMES, AnyRequest, Notice
from services.gateway.disconnect import disconnect
from services.gateway.hub import Hub, TheHub
from services.gateway.sync import request_sync
from shared.errors import HubError

YEAR_S = 365 * 86_400


class ConnectForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``connection`` is the one to connect anew, ``csrf`` was read by whoever checked the session."""

    provider: str
    connection: str = ""
    csrf: str = ""


class ThemeForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    theme: str


@post("/console/connect", guards=[same_origin], include_in_schema=False)
async def connect(request: AnyRequest, hub: TheHub, data: URLEncodedBody[ConnectForm]) -> Response[Any]:
    try:
        again = data.connection.replace("\0", "")
        user = (await owned(hub, again))[0].user_id if again else user_of(hub)
        flow = await start_connect(provider=data.provider, org_id=org_of(hub), user_id=user, return_url="/", hub=hub)
    except HubError as error:
        return await _refused(request, hub, "Connecting did not begin.", error)
    return Redirect(f"/console/connect/{flow.flow_id}", status_code=303)


@post("/console/connections/{id_:str}/reload", guards=[same_origin], include_in_schema=False)
async def reload(request: AnyRequest, hub: TheHub, id_: FromPath[str]) -> Response[Any]:
    try:
        connection, _, _ = await owned(hub, id_)
        await request_sync(connection.id, hub=hub)
    except HubError as error:
        return await _refused(request, hub, "The load did not begin.", error)
    return Redirect(f"/#card-{connection.provider}", status_code=303)


@post("/console/connections/{id_:str}/disconnect", guards=[same_origin], include_in_schema=False)
async def end(request: AnyRequest, hub: TheHub, id_: FromPath[str]) -> Response[Any]:
    try:
        connection, _, _ = await owned(hub, id_)
        await disconnect(connection.id, hub=hub)
    except HubError as error:
        return await _refused(request, hub, "The account is still connected.", error)
    return Redirect(f"/#card-{connection.provider}", status_code=303)


@post("/console/theme", guards=[same_origin], include_in_schema=False)
async def choose_theme(
    data: URLEncodedBody[ThemeForm],
) -> Response[Any]:
    theme = data.theme if data.theme in dict(THEMES) else "auto"
    answer = Redirect("/", status_code=303)
    answer.set_cookie("theme", theme, max_age=YEAR_S, samesite="lax")
    return answer


async def _refused(request: AnyRequest, hub: Hub, title: str, error: HubError) -> Response[bytes]:
    return await first_page(request, hub, notice=Notice("bad", title, error.detail), status=error.status)
