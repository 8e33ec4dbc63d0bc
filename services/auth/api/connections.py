"""What is connected."""

from __future__ import annotations

from litestar import delete, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, SkipValidation

from services.auth.context import AuthContext
from services.auth.disconnect import disconnect
from services.auth.store import connections
from shared.contracts.auth import Connections
from shared.contracts.connections import Connection
from shared.errors import NotFound


@get("/connections")
async def list_connections(
    context: NamedDependency[SkipValidation[AuthContext]],
    org_id: FromQuery[str | None] = None,
    user_id: FromQuery[str | None] = None,
    provider: FromQuery[str | None] = None,
) -> Connections:
    async with context.database.read() as db:
        found = await connections.find(db, org_id=org_id, user_id=user_id, provider=provider)
    return Connections(connections=found)


@get("/connections/{connection_id:str}")
async def show(connection_id: FromPath[str], context: NamedDependency[SkipValidation[AuthContext]]) -> Connection:
    async with context.database.read() as db:
        found = await connections.get(db, connection_id)
    if found is None:
        raise NotFound("There is no such connection.")
    return found


@delete("/connections/{connection_id:str}", status_code=200)
async def end(connection_id: FromPath[str], context: NamedDependency[SkipValidation[AuthContext]]) -> Connection:
    return await disconnect(connection_id, context=context)


connection_routes = (list_connections, show, end)
