"""Read Airtable's bases, the tables of each base and the records of each table.

The parts of a walk: the list of bases, each base, and for records each table.
https://airtable.com/developers/web/api/list-bases, get-base-schema and list-records beside it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Final

from shared.connector import (
    MALFORMED_PAGE,
    Bucket,
    Call,
    Connector,
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
    Uncounted,
)
from shared.providers.airtable import SCHEMA, mapping, problems
from shared.providers.airtable.mapping import WalkedTable
from shared.providers.airtable.walk import (
    BASES,
    LIST_OF_BASES,
    base_and_table,
    base_part,
    following,
    table_part,
)

REFUSED: Final = frozenset({problems.GONE, problems.FORBIDDEN})
SHAPES: Final = {
    "bases": re.compile(r"app[0-9A-Za-z]+"),
    "tables": re.compile(r"app[0-9A-Za-z]+/tbl[0-9A-Za-z]+"),
    "records": re.compile(r"app[0-9A-Za-z]+/tbl[0-9A-Za-z]+/rec[0-9A-Za-z]+"),
}
"""The shapes of the ids of each resource's items."""
SHARE: Final = (
    "Share it with the account, and let Tributary use its base: at Airtable under Integrations, or "
    "when you connect the account again."
)
PER_CALL: Final = 100
"""Ids of one formula: 100 of them stay far below the 16,000 characters that a URL may have."""

MOST_LISTS: Final = 100
"""Pages of bases, a thousand on each, that are searched for one."""


class AirtableConnector(Uncounted):
    # No list of Airtable's tells a total.

    def parts(self, resource: str) -> tuple[Part, ...]:
        return (BASES if resource == "bases" else LIST_OF_BASES,)

    async def schema(self, call: Call, resource: str, part: Part) -> PartSchema:  # noqa: ARG002
        base = base_and_table(part)[0]
        try:
            return mapping.base_schema(await _list_tables(call, base, f"base {base}"))
        except Reject as gone:
            if gone.code != problems.GONE or await _is_listed(call, base):
                raise
            return {}

    async def page(self, call: Call, resource: str, place: Place) -> Page:
        if place.part.id == BASES.id:
            return await _bases_page(call, resource, place)
        if "/" in place.part.id:
            return await _records_page(call, place)
        return await _base_page(call, resource, place.part)

    async def read(self, call: Call, resource: str, ids: tuple[str, ...]) -> Lookup:
        # Ids become paths and parts of a formula, so nothing else may get there.
        return await READERS[resource](call, tuple(filter(SHAPES[resource].fullmatch, ids)))

    def problem(self, response: Response) -> Interruption | None:
        return problems.problem(response)

    def limits(self, response: Response) -> tuple[Bucket, ...]:  # noqa: ARG002
        # Airtable sends no headers about its limits.
        return ()


async def _bases_page(call: Call, resource: str, place: Place) -> Page:
    """Read a page of bases: as records, or to walk each of them."""
    body = (await _list_bases(call, (place.cursor or {}).get("offset"))).body
    raws, cursor = mapping.entries(body, "bases"), following(body)
    if resource == "bases":
        records, rejected = mapping.each(raws, "bases", mapping.base_record)
        return Page(records=records, rejected=rejected, cursor=cursor)
    bases, rejected = mapping.each(raws, "bases", mapping.readable_base)
    parts = tuple(base_part(base, lists=resource == "records") for base in bases)
    return Page(records=[], rejected=rejected, cursor=cursor, parts=parts)


async def _base_page(call: Call, resource: str, part: Part) -> Page:
    """Read the tables of a base: as records, or to walk the rows of each."""
    try:
        raws = await _list_tables(call, part.id, part.name)
    except Reject as gone:
        if gone.code != problems.GONE or await _is_listed(call, part.id):
            raise
        return Page(records=[], cursor=None)
    if resource == "tables":
        records, rejected = mapping.each(raws, "tables", partial(mapping.table_record, part.id))
        return Page(records=records, rejected=rejected, cursor=None)
    schemas, rejected = mapping.each(raws, "tables", mapping.table_schema)
    parts = tuple(table_part(part, WalkedTable.of(schema)) for schema in schemas)
    own = {part.id: mapping.base_schema(raws)}
    return Page(records=[], rejected=rejected, cursor=None, parts=parts, schemas=own)


async def _records_page(call: Call, place: Place) -> Page:
    base, id_ = base_and_table(place.part)
    table = mapping.table_in(place.schema, id_)
    if table is None:
        return await _without_schema(call, place.part)
    try:
        body = (await _list_records(call, place, base, id_)).body
    except Reject as refused:
        if await _is_gone(call, place.part, refused):
            return Page(records=[], cursor=None)
        raise
    raws = mapping.entries(body, "records")
    records, rejected = mapping.each(raws, "records", partial(mapping.row_record, base, table))
    return Page(records=records, rejected=rejected, cursor=following(body))


async def _without_schema(call: Call, part: Part) -> Page:
    """Return the empty end of a table that is gone.

    Raises:
        RetryLater: it is still listed, but not in a way that can be read.
    """
    absent = Reject(
        f"Airtable describes {part.name} in a way that cannot be read.", code=problems.GONE
    )
    if await _is_gone(call, part, absent):
        return Page(records=[], cursor=None)
    raise RetryLater(absent.reason, code=MALFORMED_PAGE)


async def _is_gone(call: Call, part: Part, refused: Reject) -> bool:
    """Return whether the base's list of tables no longer has the table.

    Airtable gives the same answer for a table that was deleted and one that may not be read.
    """
    if refused.code not in {problems.GONE, problems.FORBIDDEN}:
        return False
    base, table = base_and_table(part)
    try:
        listed = await _list_tables(call, base, part.name)
    except Reject as gone:
        return gone.code == problems.GONE and not await _is_listed(call, base)
    return not any(isinstance(raw, dict) and raw.get("id") == table for raw in listed)


async def _is_listed(call: Call, base: str) -> bool:
    """Return whether the list of bases still has the base, although a call for it had a 404."""
    offset: str | None = None
    for _ in range(MOST_LISTS):
        body = (await _list_bases(call, offset)).body
        listed = mapping.entries(body, "bases")
        if any(isinstance(raw, dict) and raw.get("id") == base for raw in listed):
            return True
        cursor = following(body)
        if cursor is None:
            return False
        offset = cursor["offset"]
    return True


async def _list_bases(call: Call, offset: str | None) -> Response:
    params = (("offset", offset),) if offset else ()
    request = Request(method="GET", path="/v0/meta/bases", params=params, buckets=("token",))
    try:
        return await call(request)
    except Reject as refused:
        if refused.code != problems.FORBIDDEN:
            raise
        reason = f"{refused.reason} Listing the bases needs the scope {SCHEMA}."
        remedy = f"Connect the account again, and allow {SCHEMA}."
        raise Reject(reason, code=problems.FORBIDDEN, scope=SCHEMA, remedy=remedy) from None


async def _list_tables(call: Call, base: str, what: str) -> list[Any]:
    answer = await _shared(call, _tables_request(base), f"The tables of {what}")
    return mapping.entries(answer.body, "tables")


async def _list_records(
    call: Call, place: Place, base: str, table: str, *, formula: str | None = None
) -> Response:
    """Read a page of records with their cells by field id, which survives renaming."""
    params = [("pageSize", str(place.size)), ("returnFieldsByFieldId", "true")]
    if formula:
        params.append(("filterByFormula", formula))
    if place.cursor:
        params.append(("offset", place.cursor["offset"]))
    buckets = ("token", f"base:{base}")
    request = Request(
        method="GET", path=f"/v0/{base}/{table}", params=tuple(params), buckets=buckets
    )
    return await _shared(call, request, f"The records of {place.part.name}")


async def _shared(call: Call, request: Request, what: str) -> Response:
    """Call Airtable, and say of a refusal what has to be shared.

    A grant always has all of our scopes, as Airtable knows no optional ones.
    """
    try:
        return await call(request)
    except Reject as refused:
        if refused.code != problems.FORBIDDEN:
            raise
        reason = f"{refused.reason} {what} cannot be read with this account."
        raise Reject(reason, code=problems.FORBIDDEN, remedy=SHARE) from None


async def _read_bases(call: Call, ids: tuple[str, ...]) -> Lookup:
    bases: list[Any] = []
    offset = None
    # A base cannot be read by id with these scopes, so look through the list.
    while True:
        body = (await _list_bases(call, offset)).body
        bases += mapping.entries(body, "bases")
        offset, before = mapping.next_offset(body), offset
        if offset in {None, before} or set(ids) <= _ids(bases):
            break
    found = [raw for raw in bases if _id(raw) in ids]
    records, rejected = mapping.each(found, "bases", mapping.base_record)
    left = [id_ for id_ in ids if id_ not in _ids(bases)]
    absent = [id_ for id_ in left if await _is_refused(call, _tables_request(id_))]
    return Lookup(records=records, rejected=rejected, absent=absent)


async def _read_tables(call: Call, ids: tuple[str, ...]) -> Lookup:
    lookups = [await _tables_of(call, base, paths) for base, paths in _grouped(ids).items()]
    return _together(lookups)


async def _tables_of(call: Call, base: str, paths: list[str]) -> Lookup:
    raws = await _tables_if_there(call, base)
    if raws is None:
        return Lookup(absent=paths)
    wanted = {path.rpartition("/")[2] for path in paths}
    found = [raw for raw in raws if _id(raw) in wanted]
    records, rejected = mapping.each(found, "tables", partial(mapping.table_record, base))
    listed = {f"{base}/{id_}" for id_ in _ids(raws)}
    left = [path for path in paths if path not in listed]
    absent = [path for path in left if await _is_refused(call, _first_request(path))]
    return Lookup(records=records, rejected=rejected, absent=absent)


async def _read_records(call: Call, ids: tuple[str, ...]) -> Lookup:
    lookups = []
    by_table = _grouped(ids)
    for base, paths in _grouped(by_table).items():
        raws = await _tables_if_there(call, base)
        for path in paths:
            if raws is None:
                lookups.append(Lookup(absent=by_table[path]))
            else:
                lookups.append(await _rows_of(call, path, raws, by_table[path]))
    return _together(lookups)


async def _rows_of(call: Call, path: str, raws: list[Any], paths: list[str]) -> Lookup:
    """Read rows of the table at ``path``, whose base has the tables ``raws``."""
    base, _, id_ = path.partition("/")
    schemas, _ = mapping.each(raws, "tables", mapping.table_schema)
    table = next((WalkedTable.of(schema) for schema in schemas if schema.id == id_), None)
    if table is not None:
        part = table_part(Part(id=base, name=f"base {base}"), table)
        return await _read_rows(call, part, table, paths)
    if id_ not in _ids(raws) and await _is_refused(call, _first_request(path)):
        return Lookup(absent=paths)
    return Lookup()


async def _read_rows(call: Call, part: Part, table: WalkedTable, paths: list[str]) -> Lookup:
    rows: list[Any] = []
    base = base_and_table(part)[0]
    for start in range(0, len(paths), PER_CALL):
        rows += await _matching(call, part, table, paths[start : start + PER_CALL])
    found = {f"{part.id}/{id_}" for id_ in _ids(rows)}
    records, rejected = mapping.each(rows, "records", partial(mapping.row_record, base, table))
    # A formula is answered with a list, and a list proves nothing of what it lacks.
    left = [path for path in paths if path not in found]
    absent = [path for path in left if await _is_refused(call, _row_request(path))]
    return Lookup(records=records, rejected=rejected, absent=absent)


async def _matching(call: Call, part: Part, table: WalkedTable, paths: list[str]) -> list[Any]:
    names = [path.rpartition("/")[2] for path in paths]
    formula = "OR({})".format(",".join(f"RECORD_ID()='{name}'" for name in names))
    place = Place(part=part, size=PER_CALL)
    rows: list[Any] = []
    # A page may be shorter than asked for, but never empty before the last: so there are at most as
    # many pages as ids.
    for _ in names:
        body = (
            await _list_records(call, place, base_and_table(part)[0], table.id, formula=formula)
        ).body
        rows += mapping.entries(body, "records")
        cursor = following(body)
        if cursor is None:
            break
        place = Place(part=part, size=PER_CALL, cursor=cursor)
    return rows


async def _is_refused(call: Call, request: Request) -> bool:
    """Return whether Airtable refuses by name what the request asks for."""
    try:
        await call(request)
    except Reject as refused:
        if refused.code not in REFUSED:
            raise
        return True
    return False


async def _tables_if_there(call: Call, base: str) -> list[Any] | None:
    """Return a base's tables, None when it is refused and no longer listed.

    Raises:
        Reject: it is refused although it is listed, so nothing can be said of what is in it.
    """
    try:
        return await _list_tables(call, base, f"base {base}")
    except Reject as refused:
        if refused.code not in REFUSED or await _is_listed(call, base):
            raise
        return None


def _tables_request(base: str) -> Request:
    buckets = ("token", f"base:{base}")
    return Request(method="GET", path=f"/v0/meta/bases/{base}/tables", buckets=buckets)


def _first_request(table: str) -> Request:
    """Return the request for the first row of a table, which is there even when it has none."""
    buckets = ("token", f"base:{table.partition('/')[0]}")
    return Request(method="GET", path=f"/v0/{table}", params=(("pageSize", "1"),), buckets=buckets)


def _row_request(path: str) -> Request:
    buckets = ("token", f"base:{path.partition('/')[0]}")
    return Request(method="GET", path=f"/v0/{path}", buckets=buckets)


def _id(raw: Any) -> str:
    """Return the id of an entry, an empty one for something else than an object."""
    return str(raw.get("id")) if isinstance(raw, dict) else ""


def _ids(raws: Iterable[Any]) -> set[str]:
    return {_id(raw) for raw in raws}


def _together(lookups: list[Lookup]) -> Lookup:
    """Return several lookups as one."""
    return Lookup(
        records=[record for lookup in lookups for record in lookup.records],
        rejected=[one for lookup in lookups for one in lookup.rejected],
        absent=[path for lookup in lookups for path in lookup.absent],
    )


def _grouped(paths: Iterable[str]) -> dict[str, list[str]]:
    """Return paths by the path of what they are in."""
    groups: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        groups[path.rpartition("/")[0]].append(path)
    return groups


READERS: Final[dict[str, Callable[[Call, tuple[str, ...]], Awaitable[Lookup]]]] = {
    "bases": _read_bases,
    "tables": _read_tables,
    "records": _read_records,
}

CONNECTOR: Final[Connector] = AirtableConnector()
