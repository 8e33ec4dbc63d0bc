"""Cut properties with many references off in a page, and give all of them with the property.

https://developers.notion.com/reference/retrieve-a-page-property
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, unquote

from deploy.sandbox.providers.notion.objects import RELATED
from deploy.sandbox.providers.notion.paging import cut
from deploy.sandbox.providers.notion.rendering import missing, shown_property
from deploy.sandbox.providers.notion.request import SandboxRequest
from deploy.sandbox.providers.notion.values import Json
from deploy.sandbox.world import SandboxRow

IN_PARTS: Final = ("title", "rich_text", "relation", "people", "rollup")


def property_item(request: SandboxRequest, page: SandboxRow) -> Json:
    """Return a page's property: a list where it may have many values, else one object."""
    wanted = request.path["property_id"].removeprefix("/")
    for told in page.body["show"]["properties"].values():
        if unquote(told["id"]) == wanted:
            single = told["type"] not in IN_PARTS
            if not single:
                return _listed(request, page, told)
            return {"object": "property_item", **shown_property(told, page, request)}
    raise missing("property", wanted)


def _listed(request: SandboxRequest, page: SandboxRow, told: Json) -> Json:
    values = _values(page, told)
    keys = [(f"{n:08}", str(n)) for n in range(len(values))]
    part = cut(request, keys, query={"page": page.id, "property": told["id"]})
    about = {"object": "property_item", "id": told["id"]}
    return {
        "object": "list",
        "results": [{**about, **values[int(n)]} for n in part.ids],
        "next_cursor": part.cursor,
        "has_more": part.cursor is not None,
        "type": "property_item",
        "property_item": {
            "id": told["id"],
            "next_url": _next_url(request, page, told, part.cursor),
            "type": told["type"],
            told["type"]: _about(told, last=part.cursor is None),
        },
    }


def _values(page: SandboxRow, told: Json) -> list[Json]:
    """Return the values of a property, each with its type."""
    kind = told["type"]
    if kind != "rollup":
        return [{"type": kind, kind: value} for value in told[kind]]
    if told["rollup"]["type"] == "array":
        return list(told["rollup"]["array"])
    related = page.body["show"]["properties"].get(RELATED, {"relation": []})["relation"]
    return [{"type": "relation", "relation": one} for one in related]


def _about(told: Json, *, last: bool) -> Json:
    if told["type"] != "rollup":
        return {}
    rollup: Json = told["rollup"]
    if rollup["type"] == "array":
        return {**rollup, "array": []}
    # It is computed while the list is read.
    return rollup if last else {"type": "incomplete", "incomplete": {}, "function": "count"}


def _next_url(
    request: SandboxRequest, page: SandboxRow, told: Json, cursor: str | None
) -> str | None:
    if cursor is None:
        return None
    size = request.query.get("page_size", [])
    sized = f"&page_size={size[0]}" if size else ""
    path = f"/v1/pages/{page.id}/properties/{told['id']}"
    return f"{request.root}{path}?start_cursor={quote(cursor, safe='')}{sized}"
