"""Objects as Notion sends them."""

from __future__ import annotations

from deploy.sandbox.providers.notion.asked import VERSIONS, Asked, Refused
from deploy.sandbox.providers.notion.values import Json
from deploy.sandbox.world import Row

OBJECTS = {"pages": "page", "data_sources": "data_source", "users": "user"}


def shown(row: Row, asked: Asked) -> Json:
    show: Json = row.body["show"]
    if "type" in show:
        return {"object": "user", "id": row.id, **show}
    told = {"created_time": row.created, "last_edited_time": row.modified, **show, "in_trash": row.archived}
    if asked.version == VERSIONS[0]:
        told["archived"] = row.archived
    return {"object": "data_source" if "title" in show else "page", "id": row.id, **told}


def title_of(shown: Json) -> str:
    parts = shown.get("title")
    if parts is None:
        parts = next((told["title"] for told in shown["properties"].values() if told["type"] == "title"), [])
    return "".join(part["plain_text"] for part in parts)


def with_some(page: Json, wanted: list[str]) -> Json:
    kept = {name: told for name, told in page["properties"].items() if told["id"] in wanted or name in wanted}
    return {**page, "properties": kept}


def missing(resource: str, id_: str) -> Refused:
    what = OBJECTS.get(resource, resource.rstrip("s"))
    shared = "Make sure the relevant pages and databases are shared with your connection."
    return Refused("object_not_found", f"Could not find {what} with ID: {id_[:60]}. {shared}")
