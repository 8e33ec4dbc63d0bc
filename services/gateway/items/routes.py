"""Routes for items."""

from __future__ import annotations

from typing import Annotated, Final

from litestar import get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta

from services.gateway.context import InjectedContext
from services.gateway.http.fields import (
    TIME,
    KnownProvider,
    KnownResource,
    OfConnection,
    OfOrg,
    PageSize,
    PageToken,
)
from services.gateway.http.operations import Link
from services.gateway.http.parameters import LARGEST_PAGE
from services.gateway.items.refetch import Refetch, RefetchOrder, refetch_items
from services.gateway.items.views import ItemPage, ItemView, list_items, read_item
from shared.contracts.vocabulary import ConnectionId, ItemId, ResourceSlug

TAGS: Final = ["Items"]
NamePart = Annotated[
    str,
    Meta(
        description="A part of the item's name, ignoring case.",
        examples=["plan"],
        extra_json_schema={"pattern": r"^[^\x00-\x1f\x7f-\x9f]*$"},
    ),
]
SyncedSince = Annotated[
    str,
    Meta(
        description="Only items stored at this time or later, by our own clock (`synced_at`).",
        examples=["2026-01-31T09:30:00Z"],
        extra_json_schema=TIME,
    ),
]


@get(
    "/items",
    tags=TAGS,
    summary="List items",
    response_description="A page of items.",
    errors=(
        "unknown_provider",
        "unknown_resource",
        "bad_search",
        "bad_time",
        "bad_token",
        "not_found",
    ),
    links=(
        Link(
            "get_item",
            "Get one of them.",
            {
                "connection_id": "$response.body#/items/0/connection_id",
                "resource": "$response.body#/items/0/resource",
                "item_id": "$response.body#/items/0/id",
            },
        ),
        Link("get_items", "Get the next page.", {"page_token": "$response.body#/next_page_token"}),
    ),
)
async def get_items(
    context: InjectedContext,
    *,
    connection_id: FromQuery[OfConnection | None] = None,
    org_id: FromQuery[OfOrg | None] = None,
    provider: FromQuery[KnownProvider | None] = None,
    resource: FromQuery[KnownResource | None] = None,
    q: Annotated[NamePart | None, QueryParameter(max_length=200)] = None,
    synced_since: FromQuery[SyncedSince | None] = None,
    page_size: Annotated[PageSize, QueryParameter(ge=1, le=LARGEST_PAGE)] = 50,
    page_token: FromQuery[PageToken | None] = None,
) -> ItemPage:
    """List items in a stable order: items that come or go while you page do not move the others."""
    return await list_items(
        connection_id=connection_id,
        org_id=org_id,
        provider=provider,
        resource=resource,
        q=q,
        synced_since=synced_since,
        page_size=page_size,
        page_token=page_token,
        context=context,
    )


@get(
    "/items/{connection_id:str}/{resource:str}/{item_id:path}",
    tags=TAGS,
    summary="Get an item",
    response_description="The item.",
)
async def get_item(
    connection_id: FromPath[ConnectionId],
    resource: FromPath[ResourceSlug],
    item_id: FromPath[ItemId],
    context: InjectedContext,
) -> ItemView:
    """Return an item. Its id may contain slashes, plain or percent-encoded."""
    return await read_item(connection_id, resource, item_id.removeprefix("/"), context=context)


@post(
    "/items/refetch",
    status_code=202,
    tags=TAGS,
    summary="Read some items again",
    response_description="The order; the items come within seconds.",
    errors=("unknown_resource", "not_found", "disconnected", "reauth_required"),
    links=(
        Link(
            "get_items",
            "List the items of the resource.",
            {
                "connection_id": "$response.body#/connection_id",
                "resource": "$response.body#/resource",
            },
        ),
    ),
)
async def post_refetch(data: JSONBody[Refetch], context: InjectedContext) -> RefetchOrder:
    """Read up to 100 items again at the provider, and send them under a newer version.

    Links of files in `raw` are signed by the provider and expire within hours: this renews them.
    """
    return await refetch_items(data, context=context)


ROUTES: Final = (get_items, get_item, post_refetch)
