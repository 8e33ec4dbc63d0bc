"""Change records, ten at a time: enough for the official client's calls to work."""

from __future__ import annotations

import secrets
from typing import Any, Final

import msgspec
from litestar import Response, delete, patch, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from deploy.sandbox.providers.airtable.data import ALPHABET, filled, new_record
from deploy.sandbox.providers.airtable.files import Signed, signed_for
from deploy.sandbox.providers.airtable.query import ListQuery
from deploy.sandbox.providers.airtable.records import record_row
from deploy.sandbox.providers.airtable.rendering import Fields, rendered
from deploy.sandbox.providers.airtable.responses import (
    ERRORS,
    AnyRequest,
    ApiCaller,
    admit,
    invalid,
    respond,
    table_row,
)
from deploy.sandbox.world import SandboxRow, World

WRITE: Final = "data.records:write"
AT_ONCE: Final = 10
TABLE: Final = "/v0/{base:str}/{table:str}"


class Change(msgspec.Struct, frozen=True):
    fields: dict[str, Any]
    id: str = ""


class Changes(msgspec.Struct, frozen=True, rename="camel"):
    records: list[Change] | None = None
    fields: dict[str, Any] | None = None
    typecast: bool = False
    return_fields_by_field_id: bool = False


def write_routes(world: World) -> list[HTTPRouteHandler]:
    @post(TABLE, status_code=200, exception_handlers=ERRORS)
    async def create(
        request: AnyRequest, base: FromPath[str], table: FromPath[str]
    ) -> Response[bytes]:
        caller = admit(world, request, scope=WRITE, base=base)
        return respond(
            _created(
                world, caller, table_row(world, caller, base, table), _changes(await request.body())
            )
        )

    @patch(TABLE, exception_handlers=ERRORS)
    async def merge(
        request: AnyRequest, base: FromPath[str], table: FromPath[str]
    ) -> Response[bytes]:
        caller = admit(world, request, scope=WRITE, base=base)
        found = table_row(world, caller, base, table)
        return respond(_updated(world, caller, found, _changes(await request.body()), clear=False))

    @put(TABLE, exception_handlers=ERRORS)
    async def replace(
        request: AnyRequest, base: FromPath[str], table: FromPath[str]
    ) -> Response[bytes]:
        caller = admit(world, request, scope=WRITE, base=base)
        found = table_row(world, caller, base, table)
        return respond(_updated(world, caller, found, _changes(await request.body()), clear=True))

    return [create, merge, replace, *_single(world), *_deletions(world)]


def _single(world: World) -> list[HTTPRouteHandler]:
    @patch(TABLE + "/{record:str}", exception_handlers=ERRORS)
    async def merge_one(
        request: AnyRequest, base: FromPath[str], table: FromPath[str], record: FromPath[str]
    ) -> Response[bytes]:
        caller = admit(world, request, scope=WRITE, base=base)
        changes = _changes(await request.body())
        found = table_row(world, caller, base, table)
        one = msgspec.structs.replace(
            changes, records=[Change(fields=changes.fields or {}, id=record)], fields=None
        )
        return respond(_updated(world, caller, found, one, clear=False)["records"][0])

    return [merge_one]


def _deletions(world: World) -> list[HTTPRouteHandler]:
    @delete(TABLE, status_code=200, exception_handlers=ERRORS)
    async def remove(
        request: AnyRequest, base: FromPath[str], table: FromPath[str]
    ) -> Response[bytes]:
        caller = admit(world, request, scope=WRITE, base=base)
        ids = [
            id_ for key in ("records[]", "records") for id_ in request.query_params.getall(key, [])
        ]
        return respond(
            {"records": _removed(world, caller, table_row(world, caller, base, table), ids)}
        )

    @delete(TABLE + "/{record:str}", status_code=200, exception_handlers=ERRORS)
    async def remove_one(
        request: AnyRequest, base: FromPath[str], table: FromPath[str], record: FromPath[str]
    ) -> Response[bytes]:
        caller = admit(world, request, scope=WRITE, base=base)
        return respond(_removed(world, caller, table_row(world, caller, base, table), [record])[0])

    return [remove, remove_one]


def _changes(body: bytes) -> Changes:
    try:
        return msgspec.json.decode(body, type=Changes)
    except (msgspec.DecodeError, RecursionError):
        raise invalid("Could not parse request body") from None


def _few(count: int) -> None:
    if not 1 <= count <= AT_ONCE:
        raise invalid(f"between 1 and {AT_ONCE} records may be changed at once")


def _cells(fields: Fields, given: dict[str, Any]) -> dict[str, Any]:
    """Return field id → value of what a caller writes."""
    cells = {fields.id(name): value for name, value in given.items()}
    for id_ in sorted(cells.keys() & fields.computed):
        raise invalid(
            f'Field "{fields.names[id_]}" cannot accept a value because the field is computed',
            "INVALID_VALUE_FOR_COLUMN",
        )
    return cells


def _created(
    world: World, caller: ApiCaller, table: SandboxRow, changes: Changes
) -> dict[str, Any]:
    several = (
        changes.records if changes.records is not None else [Change(fields=changes.fields or {})]
    )
    _few(len(several))
    fields, at = Fields(table), f"{world.clock.iso()[:19]}.000Z"
    rows = []
    for change in several:
        cells = {
            id_: value for id_, value in _cells(fields, change.fields).items() if filled(value)
        }
        id_ = f"{table.id}/rec{''.join(secrets.choice(ALPHABET) for _ in range(14))}"
        rows.append(new_record(table, id_, cells, at=at))
    world.save(caller.account.id, "records", rows)
    made = _shown(rows, changes, fields, signed_for(world, caller))
    return {"records": made} if changes.records is not None else made[0]


def _updated(
    world: World, caller: ApiCaller, table: SandboxRow, changes: Changes, *, clear: bool
) -> dict[str, Any]:
    several = changes.records or []
    _few(len(several))
    fields, rows, at = Fields(table), [], f"{world.clock.iso()[:19]}.000Z"
    for change in several:
        row = record_row(world, caller, table, change.id)
        kept = fields.computed if clear else fields.names.keys()
        before = {id_: value for id_, value in row.body["fields"].items() if id_ in kept}
        changed = dict.fromkeys(row.body.get("changed", ()), at)
        cells = {
            id_: value
            for id_, value in (before | _cells(fields, change.fields) | changed).items()
            if filled(value)
        }
        rows.append(msgspec.structs.replace(row, body=row.body | {"fields": cells}))
    world.save(caller.account.id, "records", rows)
    return {"records": _shown(rows, changes, fields, signed_for(world, caller))}


def _removed(
    world: World, caller: ApiCaller, table: SandboxRow, ids: list[str]
) -> list[dict[str, Any]]:
    _few(len(ids))
    rows = [record_row(world, caller, table, id_) for id_ in ids]
    world.save(
        caller.account.id, "records", [msgspec.structs.replace(row, archived=True) for row in rows]
    )
    return [{"id": id_, "deleted": True} for id_ in ids]


def _shown(
    rows: list[SandboxRow], changes: Changes, fields: Fields, signed: Signed
) -> list[dict[str, Any]]:
    query = ListQuery(return_fields_by_field_id=changes.return_fields_by_field_id)
    return [rendered(row, query, fields, signed) for row in rows]
