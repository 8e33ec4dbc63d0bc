"""Search objects: filters, one sort, pages by offset, at most 10,000 results."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from litestar import Response, post
from litestar.handlers import HTTPRouteHandler

from deploy.sandbox.providers.hubspot.catalogue import DEFAULTS
from deploy.sandbox.providers.hubspot.data import properties
from deploy.sandbox.providers.hubspot.filters import Filter, matches, sort_key
from deploy.sandbox.providers.hubspot.objects import LIST_PATHS, parsed
from deploy.sandbox.providers.hubspot.property_sets import PropertySet, properties_of
from deploy.sandbox.providers.hubspot.rendering import rendered, wanted
from deploy.sandbox.providers.hubspot.responses import (
    AnyRequest,
    admit,
    invalid,
    resource_of,
    respond,
)
from deploy.sandbox.providers.hubspot.rows import SortedRows
from deploy.sandbox.world import SandboxRow, World

SEARCH_LIMIT: Final = 200
WALL: Final = 10_000
BODY_CHARS: Final = 3000
GROUPS: Final = 5
FILTERS: Final = 6
ALL_FILTERS: Final = 18


class FilterGroup(msgspec.Struct):
    filters: list[Filter] = []


class SearchSort(msgspec.Struct):
    propertyName: str  # noqa: N815  # the wire's own name
    direction: str = "ASCENDING"


class Search(msgspec.Struct):
    """Hold the body of a search; the SDK may send null for what is absent."""

    filterGroups: list[FilterGroup] | None = None  # noqa: N815  # the wire's own name
    sorts: list[SearchSort | str] | None = None
    query: str | None = None
    properties: list[str] | None = None
    limit: int | None = None
    after: str | int | None = None


def search_routes(world: World) -> list[HTTPRouteHandler]:
    sorted_rows = SortedRows(world)

    @post([f"{path}/search" for path in LIST_PATHS], status_code=200)
    async def search(request: AnyRequest) -> Response[bytes]:
        resource = resource_of(request)
        caller = admit(world, request, scope=f"crm.objects.{resource}.read", bucket="search")
        raw = await request.body()
        if len(raw) > BODY_CHARS:
            raise invalid(f"The request body is longer than {BODY_CHARS} characters.")
        account = caller.token.account
        held = properties_of(world, account, resource)
        return respond(_found(sorted_rows, account, held, parsed(raw, Search)))

    return [search]


def _found(
    sorted_rows: SortedRows, account: str, held: PropertySet, asked: Search
) -> dict[str, Any]:
    limit, offset = 10 if asked.limit is None else asked.limit, _offset(asked.after)
    if not 1 <= limit <= SEARCH_LIMIT:
        raise invalid(f"limit must be between 1 and {SEARCH_LIMIT}, but was {limit}.")
    if offset + limit > WALL:
        raise invalid(
            f"Paging past {WALL} results is not supported: after plus limit is {offset + limit}."
        )
    indexed = sorted_rows.indexed(account, held.resource)
    rows = _sorted(_filtered(indexed, held, asked), held, asked.sorts or [])
    want = wanted(held, asked.properties or [], [], limit)
    results = [rendered(row, account, want) for row in rows[offset : offset + limit]]
    body: dict[str, Any] = {"total": len(rows), "results": results}
    if offset + limit < len(rows):
        body["paging"] = {"next": {"after": str(offset + limit)}}
    return body


def _offset(after: str | int | None) -> int:
    text = "0" if after is None else str(after)
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise invalid("after must be a non-negative integer.")
    return int(text)


def _filtered(rows: list[SandboxRow], held: PropertySet, asked: Search) -> list[SandboxRow]:
    groups = [group.filters for group in asked.filterGroups or [] if group.filters]
    _within_limits(groups, held.types)
    if groups:
        rows = [row for row in rows if _in_any(properties(row, held), groups, held.types)]
    if asked.query:
        needle, names = asked.query.lower(), DEFAULTS[held.resource]
        rows = [row for row in rows if _mentions(properties(row, held), names, needle)]
    return rows


def _within_limits(groups: list[list[Filter]], types: dict[str, str]) -> None:
    if (
        len(groups) > GROUPS
        or sum(map(len, groups)) > ALL_FILTERS
        or any(len(group) > FILTERS for group in groups)
    ):
        raise invalid(
            f"At most {GROUPS} filter groups of {FILTERS} filters each, {ALL_FILTERS} in all."
        )
    if any(condition.propertyName not in types for group in groups for condition in group):
        # HubSpot's real answers do not name the property.
        raise invalid("There was a problem with the request.")


def _in_any(
    values: dict[str, str | None], groups: list[list[Filter]], types: dict[str, str]
) -> bool:
    def passes(condition: Filter) -> bool:
        name = condition.propertyName
        return matches(condition, values.get(name), types[name])

    return any(all(map(passes, group)) for group in groups)


def _mentions(values: dict[str, str | None], names: tuple[str, ...], needle: str) -> bool:
    return any(needle in (values.get(name) or "").lower() for name in names)


def _sorted(
    rows: list[SandboxRow], held: PropertySet, sorts: list[SearchSort | str]
) -> list[SandboxRow]:
    """Return the rows by the first sort only; without one, in order of creation."""
    if not sorts:
        return rows
    first = sorts[0]
    name, direction = (
        (first, "ASCENDING") if isinstance(first, str) else (first.propertyName, first.direction)
    )
    name, direction = (name[1:], "DESCENDING") if name.startswith("-") else (name, direction)
    types = held.types
    if name not in types or direction not in {"ASCENDING", "DESCENDING"}:
        raise invalid("There was a problem with the request.")
    keyed = [(sort_key(properties(row, held).get(name), types[name]), row) for row in rows]
    keyed.sort(key=lambda pair: pair[0], reverse=direction == "DESCENDING")
    return [row for _, row in keyed]
