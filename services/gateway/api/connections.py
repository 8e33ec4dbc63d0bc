"""Connected accounts."""

from __future__ import annotations

import msgspec
from litestar import delete, get
from litestar.params import FromPath, FromQuery

from services.gateway.api.problems import problems
from services.gateway.disconnect import disconnect
from services.gateway.hub import TheHub
from services.gateway.views import ConnectionView, list_connections, read_connection

TAGS = ["Connections"]


class ConnectionList(msgspec.Struct, frozen=True, kw_only=True):
    connections: list[ConnectionView]


@get("/connections", tags=TAGS, summary="Connected accounts, oldest first", responses=problems())
async def get_connections(
    hub: TheHub,
    org_id: FromQuery[str | None] = None,
    user_id: FromQuery[str | None] = None,
    provider: FromQuery[str | None] = None,
) -> ConnectionList:
    found = await list_connections(org_id=org_id, user_id=user_id, provider=provider, hub=hub)
    return ConnectionList(connections=found)


@get("/connections/{connection_id:str}", tags=TAGS, summary="One connected account", responses=problems(404))
async def get_connection(connection_id: FromPath[str], hub: TheHub) -> ConnectionView:
    return await read_connection(connection_id, hub=hub)


@delete(
    "/connections/{connection_id:str}",
    status_code=200,
    tags=TAGS,
    summary="Disconnect an account",
    responses=problems(404, 503),
)
async def delete_connection(connection_id: FromPath[str], hub: TheHub) -> ConnectionView:
    """Ends the grant at the provider where it can be ended, deletes the tokens and every item.

    Done again it answers the same.
    """
    snapshot = await disconnect(connection_id, hub=hub)
    return await read_connection(snapshot.id, hub=hub)
