"""Read objects by list, by id and in batches, in both path styles."""

from __future__ import annotations

import uuid
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from deploy.sandbox.providers.hubspot.property_sets import properties_of
from deploy.sandbox.providers.hubspot.rendering import rendered, wanted
from deploy.sandbox.providers.hubspot.responses import (
    AnyRequest,
    admit,
    api_error,
    invalid,
    not_simulated,
    resource_of,
    respond,
)
from deploy.sandbox.providers.hubspot.rows import SortedRows
from deploy.sandbox.world import World, link_with

LIST_LIMIT: Final = 100
BATCH_LIMIT: Final = 100
LIST_PATHS: Final = ["/crm/v3/objects/{kind:str}", "/crm/objects/{version:str}/{kind:str}"]
READ_PATHS: Final = [f"{path}/{{id_:str}}" for path in LIST_PATHS]
BATCH_PATHS: Final = [f"{path}/batch/read" for path in LIST_PATHS]

T = TypeVar("T")


class ObjectId(msgspec.Struct):
    id: str


class BatchRead(msgspec.Struct):
    """Hold the body of a batch read, as the SDK and the documentation send it."""

    inputs: list[ObjectId]
    properties: list[str] = []
    propertiesWithHistory: list[str] = []  # noqa: N815  # the wire's own name
    idProperty: str | None = None  # noqa: N815  # the wire's own name


class QueryString:
    """Read a query string as HubSpot does.

    Lists come comma-separated or as repeated keys, booleans in any case, and brackets in names mean
    nothing.
    """

    def __init__(self, request: AnyRequest) -> None:
        pairs = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    def names(self, key: str) -> list[str]:
        return [name for value in self._values.get(key, []) for name in value.split(",") if name]

    def flag(self, key: str) -> bool:
        return self._values.get(key, ["false"])[-1].lower() == "true"

    def number(self, key: str, default: int) -> int:
        """Return a non-negative number.

        Raises:
            ErrorResponse: it is something else.
        """
        value = self._values.get(key, [str(default)])[-1]
        if not (value.isascii() and value.isdigit() and len(value) < 20):
            raise invalid(f"{key} must be a non-negative integer.")
        return int(value)


def object_routes(world: World) -> list[HTTPRouteHandler]:
    sorted_rows = SortedRows(world)

    @get(LIST_PATHS)
    async def list_objects(request: AnyRequest) -> Response[bytes]:
        resource = resource_of(request)
        caller = admit(world, request, scope=f"crm.objects.{resource}.read")
        return respond(
            _listed(world, sorted_rows, request, caller.token.account, resource),
            headers=caller.headers,
        )

    @get(READ_PATHS)
    async def read_object(request: AnyRequest) -> Response[bytes]:
        resource = resource_of(request)
        caller = admit(world, request, scope=f"crm.objects.{resource}.read")
        return respond(
            _read(world, request, caller.token.account, resource), headers=caller.headers
        )

    @post(BATCH_PATHS, status_code=200)
    async def read_batch(request: AnyRequest) -> Response[bytes]:
        resource = resource_of(request)
        caller = admit(world, request, scope=f"crm.objects.{resource}.read")
        batch = parsed(await request.body(), BatchRead)
        body = _batch(
            world,
            batch,
            caller.token.account,
            resource,
            archived=QueryString(request).flag("archived"),
        )
        return respond(body, 207 if "errors" in body else 200, caller.headers)

    return [list_objects, read_object, read_batch]


def parsed(body: bytes, shape: type[T]) -> T:
    """Return the JSON of a request.

    Raises:
        ErrorResponse: the body is not JSON, or has another shape.
    """
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as flaw:
        raise invalid(f"Invalid input JSON: {str(flaw)[:120]}") from None


def _listed(
    world: World, sorted_rows: SortedRows, request: AnyRequest, account: str, resource: str
) -> dict[str, Any]:
    query = QueryString(request)
    limit, after = query.number("limit", 10), query.number("after", 0)
    if not 1 <= limit <= LIST_LIMIT:
        raise invalid(f"limit must be between 1 and {LIST_LIMIT}, but was {limit}.")
    held = properties_of(world, account, resource)
    want = wanted(held, query.names("properties"), query.names("propertiesWithHistory"), limit)
    rows, following = sorted_rows.page(
        account, resource, after=after, limit=limit, archived=query.flag("archived")
    )
    body: dict[str, Any] = {"results": [rendered(row, account, want) for row in rows]}
    if following is not None:
        link = link_with(request.scope, "after", str(following))
        body["paging"] = {"next": {"after": str(following), "link": link}}
    return body


def _read(world: World, request: AnyRequest, account: str, resource: str) -> dict[str, Any]:
    """Return one object; an archived object is found only when archived ones are asked for."""
    query = QueryString(request)
    _only_ids(query.names("idProperty"))
    row = world.rows(account, resource).get(request.path_params["id_"])
    while row is not None and "merged_into" in row.body:
        # Asked for a record that was merged away, HubSpot answers with the one it went into.
        row = world.rows(account, resource)[row.body["merged_into"]]
    if row is None or row.archived is not query.flag("archived"):
        raise api_error(404, "resource not found", category="OBJECT_NOT_FOUND")
    held = properties_of(world, account, resource)
    want = wanted(held, query.names("properties"), query.names("propertiesWithHistory"), 1)
    return rendered(row, account, want)


def _batch(
    world: World, batch: BatchRead, account: str, resource: str, *, archived: bool
) -> dict[str, Any]:
    _only_ids([batch.idProperty] if batch.idProperty else [])
    if not 1 <= len(batch.inputs) <= BATCH_LIMIT:
        raise invalid(f"A batch holds 1 to {BATCH_LIMIT} inputs, not {len(batch.inputs)}.")
    held = properties_of(world, account, resource)
    want = wanted(held, batch.properties, batch.propertiesWithHistory, len(batch.inputs))
    rows, at = world.rows(account, resource), world.clock.iso()
    ids = list(dict.fromkeys(given.id for given in batch.inputs))
    there = [rows[id_] for id_ in ids if id_ in rows and "merged_into" not in rows[id_].body]
    found = [row for row in there if row.archived is archived]
    results = [rendered(row, account, want) for row in found]
    body: dict[str, Any] = {
        "status": "COMPLETE",
        "results": results,
        "startedAt": at,
        "completedAt": at,
    }
    answered = {row.id for row in found}
    missing = [id_ for id_ in ids if id_ not in answered]
    if missing:
        error = {
            "status": "error",
            "id": str(uuid.uuid4()),
            "category": "OBJECT_NOT_FOUND",
            "context": {"ids": missing},
        }
        message = f"Could not get some {resource} objects, they may be deleted or not exist."
        body |= {
            "numErrors": 1,
            "errors": [{**error, "message": message, "errors": [], "links": {}}],
        }
    return body


def _only_ids(names: list[str]) -> None:
    if any(name != "hs_object_id" for name in names):
        raise not_simulated("reading objects by another property than hs_object_id")
