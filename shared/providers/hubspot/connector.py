"""Walk HubSpot's objects by their list cursors, with the properties that ``walk`` chooses.

Lists rather than search: search stops at 10,000 results with a 400, and its index lags behind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import copy
from types import MappingProxyType
from typing import Any, ClassVar, Final
from urllib.parse import quote

import msgspec

from shared.connector import (
    MALFORMED_PAGE,
    Bucket,
    Call,
    Connector,
    Cursor,
    Gone,
    Interruption,
    Lookup,
    Page,
    Part,
    PartSchema,
    Place,
    Reject,
    Request,
    Response,
    RetryLater,
    Span,
)
from shared.providers.hubspot.mapping import TYPE_IDS, is_object_id, read_rows
from shared.providers.hubspot.problems import FORBIDDEN, NOT_FOUND, URL_TOO_LONG, limits, problem
from shared.providers.hubspot.walk import (
    LEAST_ROOM,
    MOST_LISTS,
    URL_ROOM,
    Columns,
    chosen,
    chunks,
    names_of,
)

# Dated versions come in March and September and are supported for at least 18 months.
VERSION: Final = "2026-03"
# The most that a batch read takes.
PAGE: Final = 100
ID: Final = "hs_object_id"
LISTS: Final = ("ten_secondly",)
SEARCHES: Final = ("search",)
FOUND: Final = 200
"""The most results of a search."""
SENSITIVE: Final = ("sensitive", "highly_sensitive")
"""Properties of these kinds are defined only for those who ask for the kind by name. Their values
take scopes that we do not ask for."""
# Accounts in the EU have another host: app-eu1.hubspot.com.
UI_DOMAIN: Final = re.compile(r"[a-z0-9-]+\.hubspot\.com")


class HubSpotConnector:
    all_fields: ClassVar = False
    last: Mapping[str, PartSchema] = MappingProxyType({})
    """The schemas of the walk before, by resource."""

    def with_all_fields(self) -> Connector:
        return WholeHubSpotConnector()

    def with_last(self, schemas: Mapping[str, PartSchema]) -> Connector:
        other = copy(self)
        other.last = schemas
        return other

    def left_out(self, schema: PartSchema) -> tuple[str, ...]:
        return Columns.from_schema(schema).left_out

    def parts(self, resource: str) -> tuple[Part, ...]:
        return (Part(id=resource, name=f"the {resource}", schema=resource),)

    async def schema(self, call: Call, resource: str, part: Part) -> PartSchema:  # noqa: ARG002
        columns = await self._columns(call, resource)
        last = self._last(resource)
        if last is not None:
            there = await _still_there(call, resource, columns.lost(last))
            columns = columns.completed(last, there)
        sensitive: list[str] = []
        for kind in SENSITIVE:
            sensitive += names_of(await _definitions(call, resource, ("dataSensitivity", kind)))
        left_out = (*columns.left_out, *sensitive)
        return msgspec.structs.replace(columns, left_out=left_out).schema()

    async def page(self, call: Call, resource: str, place: Place) -> Page:
        columns = Columns.from_schema(place.schema)
        rows, after, room = await _fitting(call, resource, place, columns)
        records, rejected = read_rows(rows, resource, columns.link)
        cursor: Cursor | None = None if after is None else {"after": after}
        if cursor is not None and room < URL_ROOM:
            # So that the next page does not have to find out again.
            cursor["room"] = room
        return Page(records=records, rejected=rejected, cursor=cursor)

    async def count(self, call: Call, resource: str, span: Span | None = None) -> int | None:
        # A list tells no total; a search does, even for one result.
        body = (await call(_search(resource, span, limit=1))).body
        total = body.get("total") if isinstance(body, dict) else None
        if type(total) is not int:
            raise RetryLater("HubSpot sent a search without a total.", code=MALFORMED_PAGE)
        return total

    async def list_ids(self, call: Call, resource: str, span: Span) -> tuple[str, ...]:
        # A search ends after 10,000 results, but one that begins at an id never gets there.
        response = await call(_search(resource, span, limit=FOUND))
        return tuple(row["id"] for row in _objects(response.body, "results") if _usable(row))

    async def read(self, call: Call, resource: str, ids: tuple[str, ...]) -> Lookup:
        # What the walk asked for is asked for here too: with other properties, an object would seem
        # to have changed.
        columns = self._last(resource) or await self._columns(call, resource)
        rows = await _batch(call, resource, columns, ids)
        left = tuple(id_ for id_ in ids if id_ not in _ids(rows))
        # Archived objects are found only where archived ones are asked for.
        rows += await _batch(call, resource, columns, left, archived=True)
        live = [row for row in rows if not _is_archived(row)]
        records, rejected = read_rows(live, resource, columns.link)
        archived = [row["id"] for row in rows if _is_archived(row)]
        gone = [Gone(id=id_, reason="archived") for id_ in archived if id_ in ids]
        absent: list[str] = []
        answered = _ids(rows)
        for id_ in [one for one in ids if one not in answered]:
            alone = await _alone(call, resource, id_)
            gone += alone.gone
            absent += alone.absent
        return Lookup(records=records, rejected=rejected, gone=gone, absent=absent)

    def problem(self, response: Response) -> Interruption | None:
        return problem(response)

    def limits(self, response: Response) -> tuple[Bucket, ...]:
        return limits(response)

    async def _columns(self, call: Call, resource: str) -> Columns:
        """Ask for the names of the properties, and for what a link begins with.

        Properties that a request does not name are left out, all but a handful of defaults.
        """
        definitions = await _definitions(call, resource)
        if not definitions:
            reason = f"HubSpot sent a list of the properties of {resource} that has none."
            raise RetryLater(reason, code=MALFORMED_PAGE)
        link = await _link(call, resource)
        return chosen(definitions, link=link, all_fields=self.all_fields)

    def _last(self, resource: str) -> Columns | None:
        schema = self.last.get(resource)
        return None if schema is None else Columns.from_schema(schema)


class WholeHubSpotConnector(HubSpotConnector):
    """Read HubSpot without leaving out any property."""

    all_fields: ClassVar = True


CONNECTOR: Final[Connector] = HubSpotConnector()


async def _definitions(call: Call, resource: str, *params: tuple[str, str]) -> list[Any]:
    """Return the account's properties: one call lists them all, as this endpoint has no pages.

    What is asked for with ``params`` only says what is left out: it is worth no failed walk.
    """
    path = f"/crm/properties/{VERSION}/{resource}"
    request = Request(method="GET", path=path, params=params, buckets=LISTS)
    try:
        return _objects((await call(request)).body, "results")
    except (Reject, RetryLater) as error:
        if not params or (isinstance(error, RetryLater) and error.limit):
            raise
        return []


async def _still_there(call: Call, resource: str, names: Sequence[str]) -> set[str]:
    """Return which of the properties that a list of them lacks an object still has.

    HubSpot ignores names that it does not know, and answers null for a property without a value.
    Where there is no object, nothing shows that a property is gone.
    """
    there: set[str] = set()
    for some in chunks(names, LEAST_ROOM) if names else ():
        one = Place(part=Part(id=resource, name=resource), cursor=None, size=1, schema=None)
        rows, _ = _listed(await call(_list_request(resource, some, one)))
        usable = [row["properties"] for row in rows if _usable(row)]
        asked = some.split(",")
        there |= {name for name in asked if not usable or name in usable[0]}
    return there


async def _link(call: Call, resource: str) -> str | None:
    """Return a record's URL up to its id, made of the account's id and domain.

    Records can do without links, so a refusal here gives None. A passing failure is raised: records
    that lose their links and get them back would be sent twice.
    """
    request = Request(method="GET", path=f"/account-info/{VERSION}/details", buckets=LISTS)
    try:
        body = (await call(request)).body
    except Reject:
        return None
    if not isinstance(body, dict):
        return None
    portal, domain = body.get("portalId"), body.get("uiDomain")
    # The link ends up in a browser, so anything but an address of HubSpot's is dropped.
    if type(portal) is not int or not isinstance(domain, str) or not UI_DOMAIN.fullmatch(domain):
        return None
    return f"https://{domain}/contacts/{portal}/record/{TYPE_IDS[resource]}/"


async def _fitting(
    call: Call, resource: str, place: Place, columns: Columns
) -> tuple[list[Any], str | None, int]:
    """Return the rows of a page, the next cursor, and how much of a URL names may take.

    That is halved as long as the URL is refused for its length.
    """
    room: int = (place.cursor or {}).get("room", URL_ROOM)
    while True:
        try:
            rows, after = await _rows(call, resource, place, columns, room=room)
        except Reject as refused:
            if refused.code != URL_TOO_LONG or room <= LEAST_ROOM:
                raise
            room //= 2
        else:
            return rows, after, room


async def _rows(
    call: Call, resource: str, place: Place, columns: Columns, *, room: int
) -> tuple[list[Any], str | None]:
    """Return the rows of a page with all their properties, and the cursor of the next one.

    ``room`` is how many bytes of a URL the names may take.
    """
    first, *more = chunks(columns.names, room)
    if len(more) >= MOST_LISTS:
        rows, after = _listed(await call(_list_request(resource, "", place)))
        ids = tuple(row["id"] for row in rows if _usable(row))
        return await _merged(
            call, resource, columns, rows, await _batch(call, resource, columns, ids)
        ), after
    rows, after = _listed(await call(_list_request(resource, first, place)))
    for names in more:
        others, _ = _listed(await call(_list_request(resource, names, place)))
        rows = await _merged(call, resource, columns, rows, others)
    return rows, after


def _search(resource: str, span: Span | None, *, limit: int) -> Request:
    """Return a search for the objects of a range of ids, in the order of their ids."""
    body: dict[str, Any] = {"limit": limit, "properties": [ID]}
    if span is not None:
        filters = [{"propertyName": ID, "operator": "GTE", "value": span.first}]
        if span.end is not None:
            filters.append({"propertyName": ID, "operator": "LT", "value": span.end})
        body["filterGroups"] = [{"filters": filters}]
        body["sorts"] = [{"propertyName": ID, "direction": "ASCENDING"}]
    path = f"/crm/objects/{VERSION}/{resource}/search"
    return Request(method="POST", path=path, json=body, buckets=SEARCHES)


def _list_request(resource: str, names: str, place: Place) -> Request:
    params = [("limit", str(place.size))]
    if place.cursor is not None:
        params.append(("after", place.cursor["after"]))
    if names:
        params.append(("properties", names))
    return Request(
        method="GET", path=f"/crm/objects/{VERSION}/{resource}", params=tuple(params), buckets=LISTS
    )


def _listed(response: Response) -> tuple[list[Any], str | None]:
    """Return the rows of a page and the cursor of the next one, None on the last page.

    The last page has no ``paging.next``. A page with a ``next`` but no cursor in it is refused:
    taken for the last one, it would end the walk early and call it complete.
    """
    rows = _objects(response.body, "results")
    paging = response.body.get("paging") or {}
    following = paging.get("next") if isinstance(paging, dict) else paging
    if following is None:
        return rows, None
    after = following.get("after") if isinstance(following, dict) else None
    if not isinstance(after, str) or not after:
        reason = "HubSpot says that there is a next page but gives no cursor for it."
        raise RetryLater(reason, code=MALFORMED_PAGE)
    return rows, after


def _objects(body: Any, field: str) -> list[Any]:
    rows = body.get(field) if isinstance(body, dict) else None
    if not isinstance(rows, list):
        reason = f"HubSpot sent a page that cannot be read: it has no list of {field}."
        raise RetryLater(reason, code=MALFORMED_PAGE)
    return rows


async def _merged(
    call: Call, resource: str, columns: Columns, rows: list[Any], others: list[Any]
) -> list[Any]:
    """Return ``rows`` with the properties of ``others`` added, by id."""
    extra = {row["id"]: row["properties"] for row in others if _usable(row)}
    # A row that the second call lacks was archived, or pushed off the page, between the two calls.
    # It is read by itself; one that is gone by then is left out.
    lost = tuple(row["id"] for row in rows if _usable(row) and row["id"] not in extra)
    again = {row["id"]: row for row in await _batch(call, resource, columns, lost) if _usable(row)}
    merged = []
    for row in rows:
        if not _usable(row):
            merged.append(row)
        elif row["id"] in extra:
            row["properties"].update(extra[row["id"]])
            merged.append(row)
        elif row["id"] in again:
            merged.append(again[row["id"]])
    return merged


def _usable(row: Any) -> bool:
    """Return whether ``row`` can be merged.

    The mapping names what is wrong with one that cannot.
    """
    return (
        isinstance(row, dict)
        and isinstance(row.get("id"), str)
        and isinstance(row.get("properties"), dict)
    )


async def _batch(
    call: Call,
    resource: str,
    columns: Columns,
    ids: tuple[str, ...],
    *,
    archived: bool = False,
) -> list[Any]:
    """Return the objects with these ids, read a hundred a call.

    Objects that are gone are missing: HubSpot names them in ``errors`` beside the results, in a
    207. With ``archived`` only archived objects are found, without it only live ones.
    """
    path = f"/crm/objects/{VERSION}/{resource}/batch/read"
    rows: list[Any] = []
    for start in range(0, len(ids), PAGE):
        inputs = [{"id": id_} for id_ in ids[start : start + PAGE]]
        # Names in the body have no limit of length, unlike those in the URL of a list.
        body = {"inputs": inputs, "properties": columns.names}
        params = (("archived", "true"),) if archived else ()
        request = Request(method="POST", path=path, params=params, json=body, buckets=LISTS)
        rows += _objects((await call(request)).body, "results")
    return rows


async def _alone(call: Call, resource: str, id_: str) -> Lookup:
    """Ask for one object that no batch had.

    HubSpot answers for an object that was merged away with the one that it was merged into, or says
    that it does not exist.
    """
    path = f"/crm/objects/{VERSION}/{resource}/{quote(id_, safe='')}"
    try:
        body = (await call(Request(method="GET", path=path, buckets=LISTS))).body
    except Reject as refused:
        if refused.code not in {NOT_FOUND, FORBIDDEN}:
            raise
        return Lookup(absent=[id_])
    other = body.get("id") if isinstance(body, dict) else None
    if not isinstance(other, str) or other == id_ or not is_object_id(other):
        return Lookup()
    return Lookup(gone=[Gone(id=id_, reason="merged", merged_into=other)])


def _ids(rows: list[Any]) -> set[str]:
    return {str(row.get("id")) for row in rows if isinstance(row, dict)}


def _is_archived(row: Any) -> bool:
    return isinstance(row, dict) and row.get("archived") is True and isinstance(row.get("id"), str)
