"""Connected accounts."""

from __future__ import annotations

from typing import Final

import msgspec
from litestar import get
from litestar.params import FromPath, FromQuery

from services.gateway.connections.views import ConnectionView, list_connections, read_connection
from services.gateway.context import InjectedContext
from services.gateway.http.problems import problems

TAGS = ["Connections"]


class ConnectionList(msgspec.Struct, frozen=True, kw_only=True):
    connections: list[ConnectionView]


@get("/connections", tags=TAGS, summary="Connected accounts, oldest first", responses=problems())
async def get_connections(
    context: InjectedContext,
    org_id: FromQuery[str | None] = None,
    user_id: FromQuery[str | None] = None,
    provider: FromQuery[str | None] = None,
) -> ConnectionList:
    found = await list_connections(org_id=org_id, user_id=user_id, provider=provider, context=context)
    return ConnectionList(connections=found)


@get("/connections/{connection_id:str}", tags=TAGS, summary="One connected account", responses=problems(404))
async def get_connection(connection_id: FromPath[str], context: InjectedContext) -> ConnectionView:
    return await read_connection(connection_id, context=context)


ROUTES: Final = (get_connections, get_connection)
