"""Read records: by list (GET and POST) and by id.

https://airtable.com/developers/web/api/list-records
"""

from __future__ import annotations

from itertools import islice
from typing import Any

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from deploy.sandbox.providers.airtable.files import signed_for
from deploy.sandbox.providers.airtable.formula import predicate
from deploy.sandbox.providers.airtable.listing import (
    TableContents,
    iterator_gone,
    offset_at,
    place_of,
)
from deploy.sandbox.providers.airtable.query import ListQuery, from_body, from_url
from deploy.sandbox.providers.airtable.rendering import Fields, as_text, rendered
from deploy.sandbox.providers.airtable.responses import (
    ERRORS,
    AnyRequest,
    ApiCaller,
    admit,
    invalid,
    not_found,
    respond,
    table_row,
)
from deploy.sandbox.world import SandboxRow, World
from shared.providers.airtable import RECORDS


def record_routes(world: World) -> list[HTTPRouteHandler]:
    contents = TableContents(world)

    @get("/v0/{base:str}/{table:str}", exception_handlers=ERRORS)
    async def listed(
        request: AnyRequest, base: FromPath[str], table: FromPath[str]
    ) -> Response[bytes]:
        caller = admit(world, request, scope=RECORDS, base=base)
        return respond(
            _page(world, contents, caller, table_row(world, caller, base, table), from_url(request))
        )

    @post("/v0/{base:str}/{table:str}/listRecords", status_code=200, exception_handlers=ERRORS)
    async def listed_by_post(
        request: AnyRequest, base: FromPath[str], table: FromPath[str]
    ) -> Response[bytes]:
        caller = admit(world, request, scope=RECORDS, base=base)
        query = from_body(request, await request.body())
        return respond(_page(world, contents, caller, table_row(world, caller, base, table), query))

    @get("/v0/{base:str}/{table:str}/{record:str}", exception_handlers=ERRORS)
    async def one(
        request: AnyRequest, base: FromPath[str], table: FromPath[str], record: FromPath[str]
    ) -> Response[bytes]:
        caller = admit(world, request, scope=RECORDS, base=base)
        found = table_row(world, caller, base, table)
        row = record_row(world, caller, found, record)
        return respond(rendered(row, from_url(request), Fields(found), signed_for(world, caller)))

    return [listed, listed_by_post, one]


def record_row(world: World, caller: ApiCaller, table: SandboxRow, record: str) -> SandboxRow:
    row = world.rows(caller.account.id, "records").get(f"{table.id}/{record}")
    if row is None or row.archived:
        raise not_found()
    return row


def _page(
    world: World, contents: TableContents, caller: ApiCaller, table: SandboxRow, query: ListQuery
) -> dict[str, Any]:
    fields = Fields(table)
    if query.view and all(
        query.view not in {view["id"], view["name"]} for view in table.body["views"]
    ):
        raise invalid(f"View {query.view[:60]} not found", "VIEW_NAME_NOT_FOUND")
    walk = f"{caller.account.id}\n{table.id}\n{query.fingerprint()}"
    since = place_of(world, walk, query.offset) if query.offset else None
    if query.sort or query.filter_by_formula or query.max_records:
        rows = _narrowed(contents, caller, table, query, since)
    else:
        rows = list(
            islice(contents.live(caller.account.id, table.id, since=since), query.page_size + 1)
        )
    signed = signed_for(world, caller)
    page: dict[str, Any] = {
        "records": [rendered(row, query, fields, signed) for row in rows[: query.page_size]]
    }
    if len(rows) > query.page_size:
        page["offset"] = f"{offset_at(world, walk, rows[query.page_size].id)}"
    return page


def _narrowed(
    contents: TableContents,
    caller: ApiCaller,
    table: SandboxRow,
    query: ListQuery,
    since: str | None,
) -> list[SandboxRow]:
    """Return the rows that filter, sort and maximum leave, from ``since`` on.

    Raises:
        ErrorResponse: ``since`` is no longer among them, which ends the walk.
    """
    fields = Fields(table)
    rows = list(contents.live(caller.account.id, table.id))
    if query.filter_by_formula:
        passes = predicate(query.filter_by_formula, fields)
        rows = [row for row in rows if passes(row)]
    for sort in reversed(query.sort):
        id_ = fields.id(sort.field)
        keys = {row.id: _order(row.body["fields"].get(id_)) for row in rows}
        rows.sort(key=lambda row: keys[row.id], reverse=sort.direction == "desc")
    rows = rows[: query.max_records]
    if since is None:
        return rows
    start = next((number for number, row in enumerate(rows) if row.id == since), None)
    if start is None:
        raise iterator_gone()
    return rows[start:]


def _order(value: Any) -> tuple[int, float, str]:
    """Return a sort key: empty cells first, then numbers, then texts."""
    if value is None:
        return (0, 0.0, "")
    if isinstance(value, int | float):
        return (1, float(value), "")
    return (2, 0.0, as_text(value).casefold())
