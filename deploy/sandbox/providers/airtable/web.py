"""Show bases, tables and records to people, at the paths of Airtable's own links."""

from __future__ import annotations

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from deploy.sandbox.providers.airtable.rendering import Fields, as_text
from deploy.sandbox.world import SandboxRow, ShownRecord, World, record_page


def web_routes(world: World) -> list[HTTPRouteHandler]:
    @get("/{base:str}")
    async def base_page(base: FromPath[str]) -> Response[bytes]:
        return record_page("Airtable", [_base(row) for row in world.live("bases", base)])

    @get("/{base:str}/{table:str}")
    async def table_page(base: FromPath[str], table: FromPath[str]) -> Response[bytes]:
        rows = world.live("tables", f"{base}/{table}")
        return record_page("Airtable", [_table(row) for row in rows])

    @get("/{base:str}/{table:str}/{record:str}")
    async def one(
        base: FromPath[str], table: FromPath[str], record: FromPath[str]
    ) -> Response[bytes]:
        tables = world.live("tables", f"{base}/{table}")
        rows = world.live("records", f"{base}/{table}/{record}") if tables else []
        return record_page("Airtable", [_record(row, tables[0]) for row in rows])

    return [base_page, table_page, one]


def _base(row: SandboxRow) -> ShownRecord:
    values = {"Permission level": row.body["permissionLevel"]}
    return ShownRecord(type="Base", id=row.id, name=row.body["name"], values=values)


def _table(row: SandboxRow) -> ShownRecord:
    fields = {field["name"]: field["type"] for field in row.body["fields"]}
    return ShownRecord(type="Table", id=_last(row), name=row.body["name"], values=fields)


def _record(row: SandboxRow, table: SandboxRow) -> ShownRecord:
    names = Fields(table).names
    cells = {id_: as_text(value) for id_, value in row.body["fields"].items()}
    return ShownRecord(
        type="Record",
        id=_last(row),
        name=cells.get(table.body["primaryFieldId"], "").strip() or "Untitled record",
        values={names[id_]: text for id_, text in cells.items()},
    )


def _last(row: SandboxRow) -> str:
    return row.id.rpartition("/")[2]
