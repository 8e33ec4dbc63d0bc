"""Everything that was loaded."""

from __future__ import annotations

from typing import Annotated, Final

from litestar import get
from litestar.params import FromPath, FromQuery, QueryParameter

from services.gateway.context import InjectedContext
from services.gateway.http.problems import problems
from services.gateway.items.queries import SyncedItem
from services.gateway.items.views import ItemPage, list_items, read_item

TAGS = ["Items"]


@get("/items", tags=TAGS, summary="Items, in a stable order", responses=problems(404))
async def get_items(
    context: InjectedContext,
    *,
    connection_id: FromQuery[str | None] = None,
    org_id: FromQuery[str | None] = None,
    provider: FromQuery[str | None] = None,
    resource: FromQuery[str | None] = None,
    q: Annotated[str | None, QueryParameter(max_length=200, description="A part of the name, in any case.")] = None,
    synced_since: Annotated[
        str | None, QueryParameter(description="RFC 3339; only items whose present content was stored since then.")
    ] = None,
    page_size: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
    page_token: Annotated[str | None, QueryParameter(description="next_page_token of the page before.")] = None,
) -> ItemPage:
    """Items that come or go while you page do not move the others. A page token belongs to its filters."""
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


@get("/items/{connection_id:str}/{resource:str}/{item_id:path}", tags=TAGS, summary="One item", responses=problems(404))
async def get_item(
    connection_id: FromPath[str], resource: FromPath[str], item_id: FromPath[str], context: InjectedContext
) -> SyncedItem:
    """An id may hold slashes."""
    return await read_item(connection_id, resource, item_id.removeprefix("/"), context=context)


ROUTES: Final = (get_items, get_item)
