"""How Notion's pages are read (API version 2025-09-03).

Search finds what was shared directly, but is not exhaustive; so every data source is queried as well, and a page found
twice is given twice. The walk of ``pages`` has these stages, all of it in the cursor:

    search  →  sources  →  rows (of one data source after another)  →  left, when something could not be read
"""

from __future__ import annotations

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
    Response,
    Restart,
)
from shared.providers.notion import calls
from shared.providers.notion.problems import GONE, classify
from shared.providers.notion.records import read, source_ids
from shared.providers.notion.walk import Walk

KINDS = {"pages": "page", "data_sources": "data_source", "users": "user"}


class NotionConnector:
    async def page(self, call: Call, resource: str, cursor: Cursor | None) -> Page:
        walk = _walk(cursor)
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
                found.append(await calls.one(call, resource, id_))
            except Reject as reject:
                if reject.code != GONE:
                    raise
        records, rejected = read(KINDS[resource], found)
        return Page(records=records, rejected=rejected, cursor=None)

    def problem(self, response: Response) -> Interruption | None:
        return classify(response)

    def limits(self, response: Response) -> tuple[Bucket, ...]:  # noqa: ARG002  # no answer tells of a limit
        return ()


CONNECTOR: Connector = NotionConnector()


async def _listed(call: Call, resource: str, walk: Walk) -> Page:
    """A page of users, of data sources, or of the pages that search finds."""
    kind = KINDS[resource]
    listing = await (calls.users(call, walk.at) if kind == "user" else calls.search(call, kind, walk.at))
    records, rejected = read(kind, listing.results)
    if listing.capped:
        walk = walk.noting(f"Notion lists only some of the {resource.replace('_', ' ')}.")
    if listing.at is not None:
        return _page(records, rejected, walk.at_place(listing.at), place="search")
    return _page(records, rejected, walk.to_sources() if kind == "page" else walk.end(), place="search")


async def _sources(call: Call, walk: Walk) -> Page:
    """A page of data sources, of which only the ids are kept, to query each of them later."""
    listing = await calls.search(call, "data_source", walk.at)
    # With the number in it, a long list of data sources is told apart from a walk that goes nowhere.
    place = f"data sources after {len(walk.sources)}"
    walk = walk.knowing(source_ids(listing.results))
    if listing.capped:
        walk = walk.noting("Notion lists only some of the data sources.")
    return _page([], [], walk.at_place(listing.at) if listing.at is not None else walk.to_rows(), place=place)


async def _rows(call: Call, walk: Walk) -> Page:
    """A page of one data source's rows, oldest first."""
    source = walk.sources[walk.source]
    place = f"rows of {source}"
    try:
        listing = await calls.query(call, source, walk.since, walk.at)
    except Reject as reject:
        if reject.scope is not None or reject.code in {"malformed_page", "blocked"}:
            raise
        # Unshared or deleted since it was listed, it has nothing to show. Anything else is told at the end.
        if reject.code != GONE:
            walk = walk.noting(f"The data source {source} could not be read. {reject.reason}")
        return _page([], [], walk.to_next_source(), place=place)
    records, rejected = read("page", listing.results)
    last = next((record.created for record in reversed(records) if record.created), None)
    walk = walk.knowing(source_ids(listing.results))
    return _page(records, rejected, walk.after_rows(listing.at, last, capped=listing.capped), place=place)


def _walk(cursor: Cursor | None) -> Walk:
    try:
        return msgspec.convert(cursor or {}, Walk)
    except msgspec.ValidationError as error:
        raise Restart("The place this walk had come to was noted in another form.") from error


def _page(records: list[Record], rejected: list[Rejected], following: Walk | None, *, place: str) -> Page:
    cursor = None if following is None else msgspec.to_builtins(following)
    return Page(records=records, rejected=rejected, cursor=cursor, place=place)
