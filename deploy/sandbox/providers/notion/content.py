"""Serve the data API: search, queries, and single objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from litestar import HttpMethod
from litestar.handlers import HTTPRouteHandler

from deploy.sandbox.providers.notion.filters import compiled
from deploy.sandbox.providers.notion.index import Index, Indexes
from deploy.sandbox.providers.notion.paging import MOST_RESULTS, cut, listing
from deploy.sandbox.providers.notion.people import me
from deploy.sandbox.providers.notion.properties import property_item
from deploy.sandbox.providers.notion.rendering import missing, rendered, title_of, with_some
from deploy.sandbox.providers.notion.request import SandboxRequest, api
from deploy.sandbox.providers.notion.responses import invalid, not_simulated, only, unknown_call
from deploy.sandbox.providers.notion.values import Json
from deploy.sandbox.world import SandboxRow, World

PAGING: Final = ("start_cursor", "page_size")
TRASH: Final = ("archived", "in_trash", "is_archived")


class Content:
    """Answer the data API's calls for one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._indexes = Indexes(world.all_rows)
        self._searched = Indexes(world.indexed)

    def search(self, request: SandboxRequest) -> Json:
        only(request.body, ("query", "filter", "sort", *PAGING))
        kind, trash = _sought(request.body.get("filter"))
        words = request.body.get("query") or ""
        if not isinstance(words, str):
            raise invalid("body failed validation: body.query should be a string.")
        time, descending = _sort(request.body.get("sort"), ("last_edited_time",), "body.sort")
        index = self._searched.of(request.account)
        keep = _titled(index, words) if words else None
        query = {
            "search": words,
            "kind": kind,
            "trash": trash,
            "time": time,
            "descending": descending,
        }
        keys = index.trashed(kind, time) if trash else index.found(kind, time)
        part = cut(request, keys, query=query, descending=descending, keep=keep)
        return listing(
            part, [rendered(index.by_id[id_], request) for id_ in part.ids], "page_or_data_source"
        )

    def query(self, request: SandboxRequest) -> Json:
        only(request.body, ("filter", "sorts", "result_type", *TRASH, *PAGING))
        source = self._one(request, "data_sources", "data_source_id")
        if source.archived:
            raise missing("data_sources", source.id)
        sorts = request.body.get("sorts") or [None]
        if not isinstance(sorts, list) or len(sorts) > 1:
            raise not_simulated("sorts other than one by a timestamp")
        time, descending = _sort(sorts[0], ("created_time", "last_edited_time"), "body.sorts[0]")
        told = request.body.get("filter")
        index, test = (
            self._indexes.of(request.account),
            compiled(told) if told is not None else None,
        )
        trash = any(request.body.get(name) is True for name in TRASH)
        keys = index.trashed_rows_of(source.id, time) if trash else index.rows_of(source.id, time)
        query = {
            "source": source.id,
            "filter": told,
            "trash": trash,
            "time": time,
            "descending": descending,
        }
        part = cut(
            request,
            # No row of a sandbox's data source is a data source: there are no wikis.
            [] if request.body.get("result_type") == "data_source" else keys,
            query=query,
            descending=descending,
            keep=None if test is None else lambda id_: test(index.by_id[id_]),
            most=MOST_RESULTS,
        )
        some = request.query.get("filter_properties") or request.query.get("filter_properties[]")
        results = [rendered(index.by_id[id_], request) for id_ in part.ids]
        return listing(
            part,
            [with_some(page, some) for page in results] if some else results,
            "page_or_data_source",
        )

    def users(self, request: SandboxRequest) -> Json:
        index = self._indexes.of(request.account)
        part = cut(request, index.users(), query={"users": True})
        return listing(part, [rendered(index.by_id[id_], request) for id_ in part.ids], "user")

    def one(self, resource: str, name: str) -> Callable[[SandboxRequest], Json]:
        def answer(request: SandboxRequest) -> Json:
            row = self._one(request, resource, name)
            if row.archived and resource == "users":
                raise missing(resource, row.id)
            return rendered(row, request)

        return answer

    def database(self, request: SandboxRequest) -> Json:
        wanted = request.id("database_id")
        rows = self._world.rows(request.account, "data_sources").values()
        inside = [
            rendered(row, request)
            for row in rows
            if row.body["show"]["parent"]["database_id"] == wanted
        ]
        if not inside:
            raise missing("databases", wanted)
        kept = (
            "created_time",
            "last_edited_time",
            "title",
            "description",
            "icon",
            "cover",
            "is_inline",
            "url",
        )
        first = inside[0]
        return {
            "object": "database",
            "id": wanted,
            **{name: first[name] for name in (*kept, "in_trash", "is_locked", "public_url")},
            "parent": first["database_parent"],
            "data_sources": [{"id": source["id"], "name": title_of(source)} for source in inside],
        }

    def property(self, request: SandboxRequest) -> Json:
        return property_item(request, self._one(request, "pages", "page_id"))

    def children(self, request: SandboxRequest) -> Json:
        """Return no blocks: a page has no content here."""
        self._one(request, "pages", "block_id")
        return listing(cut(request, [], query={"children": True}), [], "block")

    def _one(self, request: SandboxRequest, resource: str, name: str) -> SandboxRow:
        wanted = request.id(name)
        row = self._world.rows(request.account, resource).get(wanted)
        if row is None:
            raise missing(resource, wanted)
        return row


def content_routes(world: World) -> list[HTTPRouteHandler]:
    content = Content(world)
    get, post, patch, delete = HttpMethod.GET, HttpMethod.POST, HttpMethod.PATCH, HttpMethod.DELETE
    table: list[tuple[HttpMethod, str, Callable[[SandboxRequest], Json]]] = [
        (post, "/v1/search", content.search),
        (get, "/v1/users", content.users),
        (get, "/v1/users/me", me),
        (get, "/v1/users/{user_id:str}", content.one("users", "user_id")),
        (get, "/v1/pages/{page_id:str}", content.one("pages", "page_id")),
        (get, "/v1/pages/{page_id:str}/properties/{property_id:path}", content.property),
        (
            get,
            "/v1/data_sources/{data_source_id:str}",
            content.one("data_sources", "data_source_id"),
        ),
        (post, "/v1/data_sources/{data_source_id:str}/query", content.query),
        (get, "/v1/databases/{database_id:str}", content.database),
        (get, "/v1/blocks/{block_id:str}/children", content.children),
    ]
    table += [(method, "/v1/{elsewhere:path}", _nowhere) for method in (get, post, patch, delete)]
    return [api(world, method, path, answer) for method, path, answer in table]


def _nowhere(request: SandboxRequest) -> Json:
    raise unknown_call(request.method, f"/v1/{request.path['elsewhere'].strip('/')}")


def _titled(index: Index, words: str) -> Callable[[str], bool]:
    return lambda id_: words.casefold() in title_of(index.by_id[id_].body["show"]).casefold()


def _sought(told: Any) -> tuple[str, bool]:
    """Return which objects a search's filter asks for, and whether for those in the trash."""
    if told is None:
        return "any", False
    if not isinstance(told, dict):
        raise invalid("body failed validation: body.filter should be an object.")
    only(told, ("property", "value", "in_trash"), "body.filter")
    trash = told.get("in_trash", False)
    if type(trash) is not bool:
        raise invalid("body failed validation: body.filter.in_trash should be a boolean.")
    if "in_trash" in told and not {"property", "value"} & told.keys():
        return "any", trash
    kind = told.get("value") if told.get("property") == "object" else None
    if kind not in ("page", "data_source"):
        raise invalid(
            'body failed validation: body.filter.value should be `"page"` or `"data_source"`, '
            f"instead was `{kind!r:.60}`."
        )
    return str(kind), trash


def _sort(told: Any, allowed: tuple[str, ...], where: str) -> tuple[str, bool]:
    if told is None:
        return "", False
    time = told.get("timestamp") if isinstance(told, dict) else None
    if time not in allowed:
        raise invalid(
            f"body failed validation: {where}.timestamp should be one of {', '.join(allowed)}."
        )
    direction = told.get("direction", "ascending")
    if direction not in ("ascending", "descending"):
        raise invalid(
            f'body failed validation: {where}.direction should be `"ascending"` or `"descending"`.'
        )
    return str(time), direction == "descending"
