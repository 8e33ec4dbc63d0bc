"""Render objects as Notion sends them."""

from __future__ import annotations

from typing import Final

from deploy.sandbox.providers.notion.files import hosted
from deploy.sandbox.providers.notion.request import VERSIONS, SandboxRequest
from deploy.sandbox.providers.notion.responses import ErrorResponse
from deploy.sandbox.providers.notion.values import OF_THE_PAGE, Json
from deploy.sandbox.world import SandboxRow

COVERED: Final = 7
"""One page in so many has a cover."""
MOST_REFERENCES: Final = 25
"""A page has at most so many references in each property. Only relations say that there are more.
"""
OBJECTS: Final = {"pages": "page", "data_sources": "data_source", "users": "user"}


def rendered(row: SandboxRow, request: SandboxRequest) -> Json:
    told = _rendered(row, request)
    return _odd(told) if row.body.get("odd") else told


def _odd(told: Json) -> Json:
    """Return an object whose title is null and whose parent has no type; users have a number."""
    if told["object"] == "user":
        return {**told, "name": 17}
    parent = {name: value for name, value in told["parent"].items() if name != "type"}
    odd = {**told, "parent": parent}
    if told["object"] == "data_source":
        return {**odd, "title": None}
    properties = told["properties"].items()
    titles = {name: {**one, "title": None} for name, one in properties if one["type"] == "title"}
    return {**odd, "properties": {**told["properties"], **titles}}


def _rendered(row: SandboxRow, request: SandboxRequest) -> Json:
    show: Json = row.body["show"]
    if "type" in show:
        return {"object": "user", "id": row.id, **show}
    told = {
        "created_time": row.created,
        "last_edited_time": row.modified,
        **show,
        **_cover(row, request),
        "in_trash": row.archived,
    }
    if "title" not in show:
        told["properties"] = {
            name: shown_property(one, row, request) for name, one in show["properties"].items()
        }
    if request.version == VERSIONS[0]:
        told["archived"] = row.archived
    return {"object": "data_source" if "title" in show else "page", "id": row.id, **told}


def _cover(row: SandboxRow, request: SandboxRequest) -> Json:
    """Give some pages a cover that Notion hosts."""
    if "title" in row.body["show"] or int(row.id[-2:], 16) % COVERED:
        return {}
    return {"cover": {"type": "file", "file": hosted(request, f"{row.id}/cover.png")}}


def shown_property(told: Json, row: SandboxRow, request: SandboxRequest) -> Json:
    """Return a property with fresh links to its files, and cut off where it has many references."""
    kind = told["type"]
    if kind in OF_THE_PAGE:
        times = {"created_time": row.created, "last_edited_time": row.modified}
        return {**told, kind: times.get(kind) or row.body["show"][kind]}
    if kind == "files":
        return {**told, kind: [_file(one, request) for one in told[kind]]}
    if kind == "rollup":
        return {**told, "rollup": _cut_rollup(told["rollup"])}
    if kind not in {"title", "rich_text", "people", "relation"}:
        return told
    here = {**told, kind: told[kind][:MOST_REFERENCES]}
    if kind == "relation":
        here["has_more"] = len(told[kind]) > MOST_REFERENCES
    return here


def _file(told: Json, request: SandboxRequest) -> Json:
    if told["type"] != "file":
        return told
    return {**told, "file": hosted(request, told["file"]["key"])}


def _cut_rollup(rollup: Json) -> Json:
    """Return what a rollup is over the references that the page has."""
    if rollup["type"] == "array":
        return {**rollup, "array": rollup["array"][:MOST_REFERENCES]}
    if rollup.get("number") is None:
        return rollup
    return {**rollup, "number": min(rollup["number"], MOST_REFERENCES)}


def title_of(rendered: Json) -> str:
    parts = rendered.get("title")
    if parts is None:
        parts = next(
            (
                told["title"] or []
                for told in rendered["properties"].values()
                if told["type"] == "title"
            ),
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
