"""Render objects as Notion sends them."""

from __future__ import annotations

from typing import Final

from deploy.sandbox.providers.notion.request import VERSIONS, SandboxRequest
from deploy.sandbox.providers.notion.responses import ErrorResponse
from deploy.sandbox.providers.notion.values import Json
from deploy.sandbox.world import SandboxRow

OBJECTS: Final = {"pages": "page", "data_sources": "data_source", "users": "user"}


def rendered(row: SandboxRow, request: SandboxRequest) -> Json:
    show: Json = row.body["show"]
    if "type" in show:
        return {"object": "user", "id": row.id, **show}
    told = {
        "created_time": row.created,
        "last_edited_time": row.modified,
        **show,
        "in_trash": row.archived,
    }
    if request.version == VERSIONS[0]:
        told["archived"] = row.archived
    return {"object": "data_source" if "title" in show else "page", "id": row.id, **told}


def title_of(rendered: Json) -> str:
    parts = rendered.get("title")
    if parts is None:
        parts = next(
            (told["title"] for told in rendered["properties"].values() if told["type"] == "title"),
            [],
        )
    return "".join(part["plain_text"] for part in parts)


def with_some(page: Json, wanted: list[str]) -> Json:
    kept = {
        name: told
        for name, told in page["properties"].items()
        if told["id"] in wanted or name in wanted
    }
    return {**page, "properties": kept}


def missing(resource: str, id_: str) -> ErrorResponse:
    what = OBJECTS.get(resource, resource.rstrip("s"))
    shared = "Make sure the relevant pages and databases are shared with your connection."
    return ErrorResponse("object_not_found", f"Could not find {what} with ID: {id_[:60]}. {shared}")
