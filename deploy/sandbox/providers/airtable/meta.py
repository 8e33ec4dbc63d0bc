"""Tell callers who they are, which bases they see, and the tables of a base.

https://airtable.com/developers/web/api/list-bases
"""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from deploy.sandbox.providers.airtable.listing import offset_at, place_of
from deploy.sandbox.providers.airtable.responses import (
    ERRORS,
    AnyRequest,
    ApiCaller,
    admit,
    base_row,
    invalid,
    respond,
)
from deploy.sandbox.world import SandboxRow, World
from shared.providers.airtable import EMAIL, SCHEMA

BASES_PER_PAGE: Final = 1000
KEPT_BACK: Final = frozenset({"blueprint", "text", "times", "odd"})


def meta_routes(world: World) -> list[HTTPRouteHandler]:
    @get("/v0/meta/whoami", exception_handlers=ERRORS)
    async def whoami(request: AnyRequest) -> Response[bytes]:
        caller = admit(world, request)
        email = {"email": caller.account.name} if EMAIL in caller.scopes else {}
        return respond({"id": caller.account.id, **email, "scopes": list(caller.scopes)})

    @get("/v0/meta/bases", exception_handlers=ERRORS)
    async def bases(request: AnyRequest) -> Response[bytes]:
        caller = admit(world, request, scope=SCHEMA)
        return respond(_bases(world, caller, request.query_params.get("offset")))

    @get("/v0/meta/bases/{base:str}/tables", exception_handlers=ERRORS)
    async def tables(request: AnyRequest, base: FromPath[str]) -> Response[bytes]:
        caller = admit(world, request, scope=SCHEMA, base=base)
        included = [
            value
            for key in ("include", "include[]")
            for value in request.query_params.getall(key, [])
        ]
        if not {"visibleFieldIds"}.issuperset(included):
            raise invalid("include may only be visibleFieldIds")
        return respond({"tables": _tables(world, caller, base, visible=bool(included))})

    return [whoami, bases, tables]


def _bases(world: World, caller: ApiCaller, offset: str | None) -> dict[str, Any]:
    rows, query = world.rows(caller.account.id, "bases"), f"bases of {caller.account.id}"
    ids = list(rows)
    start = ids.index(place_of(world, query, offset)) if offset else 0
    live = [rows[id_] for id_ in ids[start:] if not rows[id_].archived]
    page = {"bases": [{"id": row.id, **_public(row)} for row in live[:BASES_PER_PAGE]]}
    if len(live) <= BASES_PER_PAGE:
        return page
    return page | {"offset": offset_at(world, query, live[BASES_PER_PAGE].id)}


def _tables(world: World, caller: ApiCaller, base: str, *, visible: bool) -> list[dict[str, Any]]:
    base_row(world, caller, base)
    prefix = f"{base}/"
    rows = world.rows(caller.account.id, "tables").values()
    tables = [
        {"id": row.id.removeprefix(prefix), **_public(row)}
        for row in rows
        if row.id.startswith(prefix) and not row.archived
    ]
    if not visible:
        return tables
    return [_with_visible_fields(table) for table in tables]


def _with_visible_fields(table: dict[str, Any]) -> dict[str, Any]:
    visible = {"visibleFieldIds": [field["id"] for field in table["fields"]]}
    return table | {"views": [view | visible for view in table["views"]]}


def _public(row: SandboxRow) -> dict[str, Any]:
    odd: dict[str, Any] = row.body.get("odd", {})
    shown = {key: value for key, value in row.body.items() if key not in KEPT_BACK}
    return shown | odd
