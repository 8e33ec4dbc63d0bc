"""Connected accounts."""

from __future__ import annotations

from typing import Annotated, Final

from litestar import get
from litestar.params import FromPath, FromQuery, QueryParameter

from services.gateway.connections.views import ConnectionPage, ConnectionView, list_connections, read_connection
from services.gateway.context import InjectedContext
from services.gateway.http.problems import problems

TAGS = ["Connections"]


@get("/connections", tags=TAGS, summary="Connected accounts, oldest first", responses=problems())
async def get_connections(
    context: InjectedContext,
    *,
    org_id: FromQuery[str | None] = None,
    user_id: FromQuery[str | None] = None,
    provider: FromQuery[str | None] = None,
    page_size: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
    page_token: Annotated[str | None, QueryParameter(description="next_page_token of the page before.")] = None,
) -> ConnectionPage:
    """A page token belongs to its filters."""
    return await list_connections(
        org_id=org_id, user_id=user_id, provider=provider, page_size=page_size, page_token=page_token, context=context
    )


@get("/connections/{connection_id:str}", tags=TAGS, summary="One connected account", responses=problems(404))
async def get_connection(connection_id: FromPath[str], context: InjectedContext) -> ConnectionView:
    return await read_connection(connection_id, context=context)


ROUTES: Final = (get_connections, get_connection)
