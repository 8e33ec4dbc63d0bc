"""Read Notion's pages, data sources and users (API version 2025-09-03).

Search finds what was shared directly, but not for certain everything, and its index lags behind
(https://developers.notion.com/reference/post-search). So the connector queries every data source as
well, and returns a page twice that it finds twice. A walk over ``pages`` has these parts: what
search finds, the list of data sources (by search, too), and the rows of each data source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec

from shared.connector import (
    Bucket,
    Call,
    Connector,
    Cursor,
    FieldPiece,
    Gone,
    Interruption,
    Lookup,
    Page,
    Part,
    PartSchema,
    Place,
    Record,
    Reject,
    Request,
    Response,
    Uncounted,
)
from shared.providers.notion import PROVIDER, VERSION
from shared.providers.notion.mapping import completed, in_trash, property_values, read, sources
from shared.providers.notion.problems import FORBIDDEN, GONE, malformed, problem
from shared.providers.notion.walk import Rows

SEARCH: Final = "search"
SOURCES: Final = "sources"
"""The ids of the two parts that a walk begins with. Those of the others are ids of data sources."""
CONTENT: Final = "read content capability"
PEOPLE: Final = "user information capability"
"""Notion has no scopes. A connection lacks what its developer did not tick under "Capabilities":
https://developers.notion.com/reference/capabilities"""
MOST_OF_TRASH: Final = 5
"""Pages of the trash, a hundred objects on each, that are searched for what is missing."""
BUCKETS: Final = ("requests", "workspace")
KINDS: Final = {"pages": "page", "data_sources": "data_source", "users": "user"}


class NotionConnector(Uncounted):
    # No list and no query of Notion's tells a total.

    def parts(self, resource: str) -> tuple[Part, ...]:
        if resource == "users":
            return (Part(id="users", name="the list of users"),)
        found = Part(id=SEARCH, name="what search finds")
        if resource == "data_sources":
            return (found,)
        return (found, Part(id=SOURCES, name="the list of data sources", lists=True))

    async def schema(self, call: Call, resource: str, part: Part) -> PartSchema:  # noqa: ARG002
        # Each page names its own properties.
        return {}

    async def page(self, call: Call, resource: str, place: Place) -> Page:
        if resource == "users":
            return _listed(resource, place, await _users(call, place))
        if place.part.id == SOURCES:
            return _sources(place, await _search(call, "data_source", place))
        if place.part.id == SEARCH:
            return _listed(resource, place, await _search(call, KINDS[resource], place))
        return await _rows(call, place)

    async def read(self, call: Call, resource: str, ids: tuple[str, ...]) -> Lookup:
        found, gone, absent = [], [], []
        for id_ in ids:
            try:
                one = await _one(call, resource, id_)
            except Reject as reject:
                # A page of which only the parent is shared is refused, one that is gone not found.
                if reject.code not in {GONE, FORBIDDEN}:
                    raise
                absent.append(id_)
                continue
            if in_trash(one):
                gone.append(Gone(id=id_, reason="trashed"))
            else:
                found.append(one)
        records, rejected = read(KINDS[resource], found)
        return Lookup(records=records, rejected=rejected, gone=gone, absent=absent)

    async def deleted(self, call: Call, resource: str, ids: tuple[str, ...]) -> list[Gone]:
        if resource == "users":
            # People who leave are in no trash.
            return []
        trashed = await _in_trash(call, KINDS[resource], set(ids))
        return [Gone(id=id_, reason="trashed") for id_ in ids if id_ in trashed]

    async def piece(
        self,
        call: Call,
        resource: str,  # noqa: ARG002  # only pages have properties with values
        id_: str,
        field: str,
        cursor: Cursor | None,
    ) -> FieldPiece:
        path = f"/v1/pages/{quote(id_, safe='')}/properties/{quote(field, safe='')}"
        params = [("page_size", str(PROVIDER.page_size))]
        if cursor:
            params.append(("start_cursor", cursor["at"]))
        return _piece(await _ask(call, _get(path, *params), CONTENT))

    def completed(
        self,
        resource: str,  # noqa: ARG002  # only pages are truncated
        raw: dict[str, Any],
        pieces: Mapping[str, Sequence[Any]],
    ) -> Record:
        return completed(raw, pieces)

    def problem(self, response: Response) -> Interruption | None:
        return problem(response)

    def limits(self, response: Response) -> tuple[Bucket, ...]:  # noqa: ARG002
        # Notion sends no X-RateLimit headers, only Retry-After with a 429.
        return ()


CONNECTOR: Final[Connector] = NotionConnector()


def _listed(resource: str, place: Place, listing: Listing) -> Page:
    """Return a page of users, of data sources, or of the pages that search finds."""
    records, rejected = read(KINDS[resource], listing.results)
    following = listing.following(place)
    missing = _missing(listing, place, f"the {resource.replace('_', ' ')}")
    return Page(records=records, rejected=rejected, cursor=following, missing=missing)


def _sources(place: Place, listing: Listing) -> Page:
    """Return a page of data sources as the parts that they are."""
    return Page(
        records=[],
        cursor=listing.following(place),
        parts=_parts(listing.results),
        missing=_missing(listing, place, "the data sources"),
    )


def _parts(results: list[Any]) -> tuple[Part, ...]:
    return tuple(Part(id=id_, name=f"data source “{name}”") for id_, name in sources(results))


async def _rows(call: Call, place: Place) -> Page:
    """Read a page of one data source's rows, oldest first."""
    rows = Rows.from_cursor(place.cursor)
    try:
        listing = await _query(call, place, rows)
    except Reject as reject:
        # One that was deleted since it was listed has no rows to show. One that is listed and
        # cannot be found may only have been unshared: what we hold of it is kept.
        if reject.code != GONE or not in_trash(await _one(call, "data_sources", place.part.id)):
            raise
        return Page(records=[], cursor=None)
    records, rejected = read("page", listing.results)
    times = [record.created_at for record in records if record.created_at]
    following, missing = rows.after(listing.at, times[-1] if times else None, capped=listing.capped)
    return Page(
        records=records,
        rejected=rejected,
        cursor=following,
        # The rows of a wiki may be data sources too.
        parts=_parts(listing.results),
        missing=missing,
    )


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """One page as Notion sends it. ``at`` is the cursor of the next one, None on the last.

    ``capped`` says that the query has more results than Notion will ever return.
    """

    results: list[Any]
    at: str | None
    capped: bool

    def cut_off(self, place: Place) -> bool:
        """Return whether this page or one before it says so: it holds for the whole list."""
        return self.capped or bool((place.cursor or {}).get("capped"))

    def following(self, place: Place) -> Cursor | None:
        """Return the cursor of the next page of a list."""
        if self.at is None:
            return None
        return {"at": self.at, "capped": True} if self.cut_off(place) else {"at": self.at}


def _missing(listing: Listing, place: Place, what: str) -> str | None:
    if listing.at is None and listing.cut_off(place):
        return f"Notion lists only some of {what}, and gives no way to read the rest."
    return None


async def _search(call: Call, kind: str, place: Place) -> Listing:
    # Oldest edit first: what is edited during the walk moves to the end and is met again. The other
    # way round, an edit would push another object from a page not yet read onto one already read.
    body = {
        "filter": {"property": "object", "value": kind},
        "sort": {"timestamp": "last_edited_time", "direction": "ascending"},
    }
    at = (place.cursor or {}).get("at")
    return _listing(await _ask(call, _post("/v1/search", body, at, place.size), CONTENT))


async def _in_trash(call: Call, kind: str, ids: set[str]) -> set[str]:
    """Return those of ``ids`` that are among the objects in the trash that were edited last.

    A page with none of them ends it: the trash keeps what was deleted in the last 30 days. Its list
    lags like any search, so a page is believed only if one of its objects says the same when it is
    read by its id.
    """
    body = {
        "filter": {"property": "object", "value": kind, "in_trash": True},
        "sort": {"timestamp": "last_edited_time", "direction": "descending"},
    }
    found: set[str] = set()
    at: str | None = None
    for _ in range(MOST_OF_TRASH):
        page = _post("/v1/search", body, at, PROVIDER.page_size)
        listing = _listing(await _ask(call, page, CONTENT))
        trashed = [id_ for id_ in map(_id_in_trash, listing.results) if id_ in ids]
        at = listing.at
        # A page may be empty although there are more.
        over = at is None or (listing.results and not trashed)
        if trashed and not await _is_in_trash(call, f"{kind}s", trashed[0]):
            break
        found.update(trashed)
        if over:
            break
    return found


def _id_in_trash(one: Any) -> str | None:
    return one.get("id") if isinstance(one, dict) and in_trash(one) else None


async def _query(call: Call, place: Place, rows: Rows) -> Listing:
    """Return a page of a data source's rows by creation time, from ``since`` on.

    Creation times never move, unlike edit times, so a query can go on from one of them.
    """
    body: dict[str, Any] = {"sorts": [{"timestamp": "created_time", "direction": "ascending"}]}
    if rows.since is not None:
        body["filter"] = {"timestamp": "created_time", "created_time": {"on_or_after": rows.since}}
    path = f"/v1/data_sources/{quote(place.part.id, safe='')}/query"
    return _listing(await _ask(call, _post(path, body, rows.at, place.size), CONTENT))


async def _users(call: Call, place: Place) -> Listing:
    params = [("page_size", str(place.size))]
    if place.cursor:
        params.append(("start_cursor", place.cursor["at"]))
    return _listing(await _ask(call, _get("/v1/users", *params), PEOPLE))


async def _is_in_trash(call: Call, resource: str, id_: str) -> bool:
    """Return whether Notion, asked for the object by its id, says that it is in the trash."""
    try:
        return in_trash(await _one(call, resource, id_))
    except Reject as reject:
        if reject.code != GONE:
            raise
        return False


async def _one(call: Call, resource: str, id_: str) -> Any:
    """Return the JSON of one object."""
    capability = PEOPLE if resource == "users" else CONTENT
    answer = await _ask(call, _get(f"/v1/{resource}/{quote(id_, safe='')}"), capability)
    if not isinstance(answer.body, dict):
        raise malformed("it is not a JSON object")
    # The id of the request would make every read look like a change.
    return {name: value for name, value in answer.body.items() if name != "request_id"}


def _piece(answer: Response) -> FieldPiece:
    """Return a list of property items as a piece.

    Raises:
        Reject: the property is not a list: it has been given another type meanwhile.
        RetryLater: it is not an answer of Notion's.
    """
    body = answer.body
    if isinstance(body, dict) and body.get("object") == "property_item":
        reason = "The property has another type now."
        raise Reject(reason, code="type_changed")
    listing = _listing(answer)
    about = body.get("property_item") if isinstance(body, dict) else None
    try:
        kind: str = about["type"]  # type: ignore[index]  # what has another shape is malformed
        piece = {"type": kind, "values": property_values(kind, listing.results)}
        if kind == "rollup":
            piece["rollup"] = about["rollup"]  # type: ignore[index]  # as above
    except (KeyError, TypeError) as error:
        raise malformed("it is not a list of property items") from error
    return FieldPiece(body=piece, cursor=None if listing.at is None else {"at": listing.at})


def _get(path: str, *params: tuple[str, str]) -> Request:
    return Request(
        method="GET",
        path=path,
        params=params,
        headers={"Notion-Version": VERSION},
        buckets=BUCKETS,
    )


def _post(path: str, body: dict[str, Any], at: str | None, size: int) -> Request:
    paged = {**body, "page_size": size}
    if at is not None:
        paged["start_cursor"] = at
    return Request(
        method="POST",
        path=path,
        json=paged,
        headers={"Notion-Version": VERSION},
        buckets=BUCKETS,
    )


async def _ask(call: Call, request: Request, capability: str) -> Response:
    """Call Notion, and say of a refusal which capability is missing: Notion's answer does not."""
    try:
        return await call(request)
    except Reject as reject:
        if reject.code != FORBIDDEN:
            raise
        reason = f"The connection to Notion lacks the {capability}."
        remedy = "Tick it in the connection's settings at Notion."
        raise Reject(reason, code=reject.code, scope=capability, remedy=remedy) from reject


def _listing(answer: Response) -> Listing:
    """Return an answer as a ``Listing``.

    Raises:
        RetryLater: it is not a list of Notion's.
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
