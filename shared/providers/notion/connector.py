"""How Notion's pages are read (API version 2025-09-03).

Search finds what was shared directly, but is not exhaustive; so every data source is queried as well, and a page found
twice is given twice. The walk of ``pages`` has these stages, all of it in the cursor:

    search  →  sources  →  rows (of one data source after another)  →  left, when something could not be read
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

import msgspec

from shared.connector import (
    Bucket,
    Call,
    Connector,
    Cursor,
    Interruption,
    Page,
    Record,
    Reject,
    Rejected,
    Request,
    Response,
)
from shared.providers.notion import VERSION
from shared.providers.notion.mapping import read, source_ids
from shared.providers.notion.problems import FORBIDDEN, GONE, malformed, problem
from shared.providers.notion.walk import Walk

PAGE_SIZE: Final = 100
CONTENT: Final = "read content capability"
PEOPLE: Final = "user information capability"
"""Notion has no scopes: a connection lacks what its developer did not tick under "Capabilities"."""
KINDS: Final = {"pages": "page", "data_sources": "data_source", "users": "user"}


class NotionConnector:
    async def page(self, call: Call, resource: str, cursor: Cursor | None) -> Page:
        walk = Walk.from_cursor(cursor)
        match walk.stage:
            case "search":
                return await _listed(call, resource, walk)
            case "sources":
                return await _sources(call, walk)
            case "rows":
                return await _rows(call, walk)
            case "left":
                raise Reject(" ".join(walk.left), code="incomplete")

    async def expected(self, call: Call, resource: str) -> int | None:  # noqa: ARG002  # Notion gives no totals
        return None

    async def read(self, call: Call, resource: str, ids: tuple[str, ...]) -> Page:
        found = []
        for id_ in ids:
            try:
                found.append(await _one(call, resource, id_))
            except Reject as reject:
                if reject.code != GONE:
                    raise
        records, rejected = read(KINDS[resource], found)
        return Page(records=records, rejected=rejected, cursor=None)

    def problem(self, response: Response) -> Interruption | None:
        return problem(response)

    def limits(self, response: Response) -> tuple[Bucket, ...]:  # noqa: ARG002  # no answer tells of a limit
        return ()


CONNECTOR: Final[Connector] = NotionConnector()


async def _listed(call: Call, resource: str, walk: Walk) -> Page:
    """A page of users, of data sources, or of the pages that search finds."""
    kind = KINDS[resource]
    listing = await (_users(call, walk.at) if kind == "user" else _search(call, kind, walk.at))
    records, rejected = read(kind, listing.results)
    if listing.capped:
        walk = walk.noting(f"Notion lists only some of the {resource.replace('_', ' ')}.")
    if listing.at is not None:
        return _page(records, rejected, walk.at_place(listing.at), part="search")
    return _page(
        records, rejected, walk.to_sources() if kind == "page" else walk.end(), part="search"
    )


async def _sources(call: Call, walk: Walk) -> Page:
    """A page of data sources, of which only the ids are kept, to query each of them later."""
    listing = await _search(call, "data_source", walk.at)
    # With the number in it, a long list of data sources is told apart from a walk that goes nowhere.
    part = f"data sources after {len(walk.sources)}"
    walk = walk.knowing(source_ids(listing.results))
    if listing.capped:
        walk = walk.noting("Notion lists only some of the data sources.")
    return _page(
        [], [], walk.at_place(listing.at) if listing.at is not None else walk.to_rows(), part=part
    )


async def _rows(call: Call, walk: Walk) -> Page:
    """A page of one data source's rows, oldest first."""
    source = walk.sources[walk.source]
    part = f"rows of {source}"
    try:
        listing = await _query(call, source, walk.since, walk.at)
    except Reject as reject:
        if reject.scope is not None or reject.code in {"malformed_page", "blocked"}:
            raise
        # Unshared or deleted since it was listed, it has nothing to show. Anything else is told at the end.
        if reject.code != GONE:
            walk = walk.noting(f"The data source {source} could not be read. {reject.reason}")
        return _page([], [], walk.to_next_source(), part=part)
    records, rejected = read("page", listing.results)
    last = next((record.created_at for record in reversed(records) if record.created_at), None)
    walk = walk.knowing(source_ids(listing.results))
    return _page(
        records, rejected, walk.after_rows(listing.at, last, capped=listing.capped), part=part
    )


def _page(
    records: list[Record], rejected: list[Rejected], following: Walk | None, *, part: str
) -> Page:
    cursor = None if following is None else msgspec.to_builtins(following)
    return Page(records=records, rejected=rejected, cursor=cursor, part=part)


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """One page as Notion sends it; ``at`` is where the next one begins, None on the last.

    ``capped``: the query has more results than Notion will ever page through.
    """

    results: list[Any]
    at: str | None
    capped: bool


async def _search(call: Call, kind: str, at: str | None) -> Listing:
    # Oldest edit first: what is edited during the walk moves to the end and is met again, rather than missed.
    body = {
        "filter": {"property": "object", "value": kind},
        "sort": {"timestamp": "last_edited_time", "direction": "ascending"},
    }
    return _listing(await _ask(call, _post("/v1/search", body, at), CONTENT))


async def _query(call: Call, source: str, since: str | None, at: str | None) -> Listing:
    """Rows of a data source by creation time, those from before ``since`` left out."""
    body: dict[str, Any] = {"sorts": [{"timestamp": "created_time", "direction": "ascending"}]}
    if since is not None:
        body["filter"] = {"timestamp": "created_time", "created_time": {"on_or_after": since}}
    return _listing(
        await _ask(
            call, _post(f"/v1/data_sources/{quote(source, safe='')}/query", body, at), CONTENT
        )
    )


async def _users(call: Call, at: str | None) -> Listing:
    place = (("start_cursor", at),) if at is not None else ()
    return _listing(
        await _ask(call, _get("/v1/users", ("page_size", str(PAGE_SIZE)), *place), PEOPLE)
    )


async def _one(call: Call, resource: str, id_: str) -> Any:
    """The JSON of one object."""
    answer = await _ask(
        call,
        _get(f"/v1/{resource}/{quote(id_, safe='')}"),
        PEOPLE if resource == "users" else CONTENT,
    )
    if not isinstance(answer.body, dict):
        raise malformed("it is not a JSON object")
    return {name: value for name, value in answer.body.items() if name != "request_id"}


def _get(path: str, *params: tuple[str, str]) -> Request:
    return Request(
        method="GET",
        path=path,
        params=params,
        headers={"Notion-Version": VERSION},
        buckets=("requests",),
    )


def _post(path: str, body: dict[str, Any], at: str | None) -> Request:
    body = {**body, "page_size": PAGE_SIZE} | ({"start_cursor": at} if at is not None else {})
    return Request(
        method="POST",
        path=path,
        json=body,
        headers={"Notion-Version": VERSION},
        buckets=("requests",),
    )


async def _ask(call: Call, request: Request, capability: str) -> Response:
    """Call Notion; where it refuses, say which capability that takes, for its own answer does not."""
    try:
        return await call(request)
    except Reject as reject:
        if reject.code != FORBIDDEN:
            raise
        reason = (
            f"The connection to Notion lacks the {capability}: tick it in the settings at Notion."
        )
        raise Reject(reason, code=reject.code, scope=capability) from reject


def _listing(answer: Response) -> Listing:
    body = answer.body
    if not isinstance(body, dict):
        raise malformed("it is not a JSON object")
    results, more, at, status = (
        body.get(name) for name in ("results", "has_more", "next_cursor", "request_status")
    )
    if not isinstance(results, list):
        raise malformed("results is not a list")
    if not isinstance(more, bool):
        raise malformed("has_more is neither true nor false")
    if more and not (isinstance(at, str) and at):
        raise malformed("there is more, but no next_cursor")
    capped = isinstance(status, dict) and status.get("type") == "incomplete"
    return Listing(results=results, at=at if more else None, capped=capped)
