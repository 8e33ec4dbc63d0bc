"""Read Notion's pages, data sources and users (API version 2025-09-03).

Search finds what was shared directly, but not for certain everything, and its index lags behind
(https://developers.notion.com/reference/post-search). So the connector queries every data source as
well, and returns a page twice that it finds twice. A walk over ``pages`` has these stages, all of
it in the cursor:

    search → sources → rows (of one data source after another) → left (if something was not read)
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

# The most that Notion returns at once, and its default.
PAGE_SIZE: Final = 100
CONTENT: Final = "read content capability"
PEOPLE: Final = "user information capability"
"""Notion has no scopes. A connection lacks what its developer did not tick under "Capabilities":
https://developers.notion.com/reference/capabilities"""
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

    async def expected(self, call: Call, resource: str) -> int | None:  # noqa: ARG002
        # No list and no query of Notion's tells a total.
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

    def limits(self, response: Response) -> tuple[Bucket, ...]:  # noqa: ARG002
        # Notion sends no X-RateLimit headers, only Retry-After with a 429.
        return ()


CONNECTOR: Final[Connector] = NotionConnector()


async def _listed(call: Call, resource: str, walk: Walk) -> Page:
    """Read a page of users, of data sources, or of the pages that search finds."""
    kind = KINDS[resource]
    if kind == "user":
        listing = await _users(call, walk.at)
    else:
        listing = await _search(call, kind, walk.at)
    records, rejected = read(kind, listing.results)
    if listing.capped:
        walk = walk.noting(f"Notion lists only some of the {resource.replace('_', ' ')}.")
    following: Walk | None
    if listing.at is not None:
        following = walk.at_place(listing.at)
    elif kind == "page":
        following = walk.to_sources()
    else:
        following = walk.end()
    return _page(records, rejected, following, part="search")


async def _sources(call: Call, walk: Walk) -> Page:
    """Read a page of data sources and keep their ids, to query each of them later."""
    listing = await _search(call, "data_source", walk.at)
    # These pages have no records. The number in the part's name tells a long list of data sources
    # from a walk that goes round in circles.
    part = f"data sources after {len(walk.sources)}"
    walk = walk.knowing(source_ids(listing.results))
    if listing.capped:
        walk = walk.noting("Notion lists only some of the data sources.")
    following = walk.to_rows() if listing.at is None else walk.at_place(listing.at)
    return _page([], [], following, part=part)


async def _rows(call: Call, walk: Walk) -> Page:
    """Read a page of one data source's rows, oldest first."""
    source = walk.sources[walk.source]
    part = f"rows of {source}"
    try:
        listing = await _query(call, source, walk.since, walk.at)
    except Reject as reject:
        if reject.scope is not None or reject.code in {"malformed_page", "blocked"}:
            raise
        # A data source that was deleted or unshared since it was listed has nothing to show. Any
        # other refusal is noted and reported at the end, once everything else has been read.
        if reject.code != GONE:
            walk = walk.noting(f"The data source {source} could not be read. {reject.reason}")
        return _page([], [], walk.to_next_source(), part=part)
    records, rejected = read("page", listing.results)
    times = [record.created_at for record in records if record.created_at]
    last = times[-1] if times else None
    # The rows of a wiki may be data sources too.
    walk = walk.knowing(source_ids(listing.results))
    following = walk.after_rows(listing.at, last, capped=listing.capped)
    return _page(records, rejected, following, part=part)


def _page(
    records: list[Record], rejected: list[Rejected], following: Walk | None, *, part: str
) -> Page:
    cursor = None if following is None else msgspec.to_builtins(following)
    return Page(records=records, rejected=rejected, cursor=cursor, part=part)


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """One page as Notion sends it. ``at`` is the cursor of the next one, None on the last.

    ``capped`` says that the query has more results than Notion will ever return.
    """

    results: list[Any]
    at: str | None
    capped: bool


async def _search(call: Call, kind: str, at: str | None) -> Listing:
    # Oldest edit first: what is edited during the walk moves to the end and is met again. The other
    # way round, an edit would push another object from a page not yet read onto one already read.
    body = {
        "filter": {"property": "object", "value": kind},
        "sort": {"timestamp": "last_edited_time", "direction": "ascending"},
    }
    return _listing(await _ask(call, _post("/v1/search", body, at), CONTENT))


async def _query(call: Call, source: str, since: str | None, at: str | None) -> Listing:
    """Return a page of a data source's rows by creation time, from ``since`` on.

    Creation times never move, unlike edit times, so a query can go on from one of them.
    """
    body: dict[str, Any] = {"sorts": [{"timestamp": "created_time", "direction": "ascending"}]}
    if since is not None:
        body["filter"] = {"timestamp": "created_time", "created_time": {"on_or_after": since}}
    path = f"/v1/data_sources/{quote(source, safe='')}/query"
    return _listing(await _ask(call, _post(path, body, at), CONTENT))


async def _users(call: Call, at: str | None) -> Listing:
    params = [("page_size", str(PAGE_SIZE))]
    if at is not None:
        params.append(("start_cursor", at))
    return _listing(await _ask(call, _get("/v1/users", *params), PEOPLE))


async def _one(call: Call, resource: str, id_: str) -> Any:
    """Return the JSON of one object."""
    capability = PEOPLE if resource == "users" else CONTENT
    answer = await _ask(call, _get(f"/v1/{resource}/{quote(id_, safe='')}"), capability)
    if not isinstance(answer.body, dict):
        raise malformed("it is not a JSON object")
    # The id of the request would make every read look like a change.
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
    paged = {**body, "page_size": PAGE_SIZE}
    if at is not None:
        paged["start_cursor"] = at
    return Request(
        method="POST",
        path=path,
        json=paged,
        headers={"Notion-Version": VERSION},
        buckets=("requests",),
    )


async def _ask(call: Call, request: Request, capability: str) -> Response:
    """Call Notion, and say of a refusal which capability is missing: Notion's answer does not."""
    try:
        return await call(request)
    except Reject as reject:
        if reject.code != FORBIDDEN:
            raise
        reason = (
            f"The connection to Notion lacks the {capability}. "
            "Tick it in the connection's settings at Notion."
        )
        raise Reject(reason, code=reject.code, scope=capability) from reject


def _listing(answer: Response) -> Listing:
    """Return an answer as a ``Listing``.

    Raises:
        Reject: it is not a list of Notion's.
    """
    body = answer.body
    if not isinstance(body, dict):
        raise malformed("it is not a JSON object")
    results, more, at = body.get("results"), body.get("has_more"), body.get("next_cursor")
    if not isinstance(results, list):
        raise malformed("results is not a list")
    if not isinstance(more, bool):
        raise malformed("has_more is neither true nor false")
    if more and not (isinstance(at, str) and at):
        raise malformed("has_more is true, but there is no next_cursor")
    # A query ends at 10,000 results, and only this says so; the key is absent otherwise:
    # https://developers.notion.com/guides/data-apis/query-large-data-sources
    status = body.get("request_status")
    capped = isinstance(status, dict) and status.get("type") == "incomplete"
    return Listing(results=results, at=at if more else None, capped=capped)
