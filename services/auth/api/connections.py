"""What is connected."""

from __future__ import annotations

from litestar import delete, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, SkipValidation

from services.auth.call import Means
from services.auth.disconnect import disconnect
from services.auth.store import connections
from shared.contracts.auth import Connections
from shared.contracts.connections import Connection
from shared.errors import NotFound


@get("/connections")
async def list_connections(
    means: NamedDependency[SkipValidation[Means]],
    org_id: FromQuery[str | None] = None,
    user_id: FromQuery[str | None] = None,
    provider: FromQuery[str | None] = None,
) -> Connections:
    async with means.database.read() as tx:
        found = await connections.find(tx, org_id=org_id, user_id=user_id, provider=provider)
    return Connections(connections=found)


@get("/connections/{connection_id:str}")
async def show(connection_id: FromPath[str], means: NamedDependency[SkipValidation[Means]]) -> Connection:
    async with means.database.read() as tx:
        found = await connections.get(tx, connection_id)
    if found is None:
        raise NotFound("There is no such connection.")
    return found


@delete("/connections/{connection_id:str}", status_code=200)
async def end(connection_id: FromPath[str], means: NamedDependency[SkipValidation[Means]]) -> Connection:
    return await disconnect(connection_id, means=means)


connection_routes = (list_connections, show, end)
