"""Show pages and databases to people, at the paths of Notion's own links."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from deploy.sandbox.providers.notion.rendering import title_of
from deploy.sandbox.providers.notion.values import Json
from deploy.sandbox.world import SandboxRow, ShownRecord, World, record_page


def web_routes(world: World) -> list[HTTPRouteHandler]:
    @get("/p/{id_:str}", name="notion web page")
    async def record(id_: FromPath[str]) -> Response[bytes]:
        return record_page("Notion", _found(world, id_))

    return [record]


def _found(world: World, given: str) -> list[ShownRecord]:
    """Return the page with this id or, for a database's id, its data sources."""
    try:
        id_ = str(UUID(given))
    except ValueError:
        return []
    pages = [_page(row) for row in world.live("pages", id_)]
    return pages or [_data_source(row) for row in _sources(world, id_)]


def _sources(world: World, database: str) -> list[SandboxRow]:
    found: list[SandboxRow] = []
    for account in world.accounts:
        for row in world.rows(account, "data_sources").values():
            inside = row.body["show"]["parent"]["database_id"] == database
            if inside and not row.archived and row not in found:
                found.append(row)
    return found


def _page(row: SandboxRow) -> ShownRecord:
    show: Json = row.body["show"]
    values = {name: _text(told[told["type"]]) for name, told in show["properties"].items()}
    return ShownRecord(type="Page", id=row.id, name=_name(show), values=values)


def _data_source(row: SandboxRow) -> ShownRecord:
    show: Json = row.body["show"]
    columns = {name: told["type"] for name, told in show["properties"].items()}
    return ShownRecord(type="Data source", id=row.id, name=_name(show), values=columns)


def _name(show: Json) -> str:
    return title_of(show).strip() or "Untitled"


def _text(value: Any) -> str:
    """Return a property's value as people read it, empty when there is none."""
    match value:
        case None:
            return ""
        case bool():
            return "Yes" if value else "No"
        case [{"plain_text": _}, *_]:
            return "".join([part["plain_text"] for part in value])
        case list():
            return ", ".join(filter(None, map(_text, value)))
        case {"name": text} | {"start": text} | {"function": text} | {"id": text}:
            return str(text)
        case _:
            return str(value)
