"""Routes for connected accounts."""

from __future__ import annotations

from typing import Annotated, Final

from litestar import get
from litestar.params import FromPath, FromQuery, QueryParameter

from services.gateway.connections.views import (
    ConnectionPage,
    ConnectionView,
    list_connections,
    read_connection,
)
from services.gateway.context import InjectedContext
from services.gateway.http.fields import KnownProvider, OfOrg, OfUser, PageSize, PageToken
from services.gateway.http.operations import Link
from services.gateway.http.parameters import LARGEST_PAGE
from shared.contracts.vocabulary import ConnectionId

TAGS: Final = ["Connections"]


@get(
    "/connections",
    tags=TAGS,
    summary="List connections",
    response_description="The connections, oldest first.",
    errors=("unknown_provider", "bad_token"),
    links=(
        Link(
            "get_connection",
            "Get one of them.",
            {"connection_id": "$response.body#/connections/0/id"},
        ),
        Link(
            "get_connections",
            "Get the next page.",
            {"page_token": "$response.body#/next_page_token"},
        ),
    ),
)
async def get_connections(
    context: InjectedContext,
    *,
    org_id: FromQuery[OfOrg | None] = None,
    user_id: FromQuery[OfUser | None] = None,
    provider: FromQuery[KnownProvider | None] = None,
    page_size: Annotated[PageSize, QueryParameter(ge=1, le=LARGEST_PAGE)] = 50,
    page_token: FromQuery[PageToken | None] = None,
) -> ConnectionPage:
    """List connected accounts, oldest first. Disconnected ones are left out."""
    return await list_connections(
        org_id=org_id,
        user_id=user_id,
        provider=provider,
        page_size=page_size,
        page_token=page_token,
        context=context,
    )


@get(
    "/connections/{connection_id:str}",
    tags=TAGS,
    summary="Get a connection",
    response_description="The connection.",
    links=(
        Link("post_sync", "Sync it again.", {"connection_id": "$response.body#/id"}),
        Link(
            "get_sync",
            "Get the progress of its newest sync.",
            {"sync_id": "$response.body#/sync_id"},
        ),
        Link("get_items", "List its items.", {"connection_id": "$response.body#/id"}),
        Link("delete_connection", "Disconnect it.", {"connection_id": "$response.body#/id"}),
    ),
)
async def get_connection(
    connection_id: FromPath[ConnectionId], context: InjectedContext
) -> ConnectionView:
    """Return a connection, even if it was disconnected."""
    return await read_connection(connection_id, context=context)


ROUTES: Final = (get_connections, get_connection)
