"""Read Airtable's bases, the tables of each base and the records of each table.

The parts of a walk: the list of bases, each base, and for records each table.
https://airtable.com/developers/web/api/list-bases, get-base-schema and list-records beside it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Final

from shared.connector import (
    Bucket,
    Call,
    Connector,
    Interruption,
    Page,
    Part,
    Place,
    Record,
    Reject,
    Rejected,
    Request,
    Response,
    Schema,
)
from shared.providers.airtable import RECORDS, SCHEMA, mapping, problems
from shared.providers.airtable.mapping import WalkedTable
from shared.providers.airtable.walk import (
    BASES,
    LIST_OF_BASES,
    base_and_table,
    base_part,
    following,
    table_part,
)

PER_CALL: Final = 100
"""Ids of one formula: 100 of them stay far below the 16,000 characters that a URL may have."""


class AirtableConnector:
    def parts(self, resource: str) -> tuple[Part, ...]:
        return (BASES if resource == "bases" else LIST_OF_BASES,)

    async def schema(self, call: Call, resource: str, part: Part) -> Schema:  # noqa: ARG002
        return mapping.base_schema(await _tables_if_there(call, base_and_table(part)[0]))

    async def page(self, call: Call, resource: str, place: Place) -> Page:
        if place.part.id == BASES.id:
            return await _bases_page(call, resource, place)
        if "/" in place.part.id:
            return await _records_page(call, place)
        return await _base_page(call, resource, place.part)

    async def expected(self, call: Call, resource: str) -> int | None:  # noqa: ARG002
        # No list of Airtable's tells a total.
        return None

    async def read(self, call: Call, resource: str, ids: tuple[str, ...]) -> Page:
        return await READERS[resource](call, ids)

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
        if gone.code != problems.GONE:
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
        Reject: it is still listed, but not in a way that can be read.
    """
    absent = Reject(
        f"Airtable describes {part.name} in a way that cannot be read.", code=problems.GONE
    )
    if await _is_gone(call, part, absent):
        return Page(records=[], cursor=None)
    raise Reject(absent.reason, code="malformed_page")


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
        return gone.code == problems.GONE
    return not any(isinstance(raw, dict) and raw.get("id") == table for raw in listed)


async def _list_bases(call: Call, offset: str | None) -> Response:
    params = (("offset", offset),) if offset else ()
    request = Request(method="GET", path="/v0/meta/bases", params=params, buckets=("token",))
    return await _allowed(call, request, "Listing the bases", SCHEMA)


async def _list_tables(call: Call, base: str, what: str) -> list[Any]:
    request = Request(
        method="GET", path=f"/v0/meta/bases/{base}/tables", buckets=("token", f"base:{base}")
    )
    answer = await _allowed(call, request, f"Listing the tables of {what}", SCHEMA)
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
    return await _allowed(call, request, f"Reading the records of {place.part.name}", RECORDS)


async def _allowed(call: Call, request: Request, what: str, scope: str) -> Response:
    """Call Airtable, and say of a refusal what was refused and which scope it takes."""
    try:
        return await call(request)
    except Reject as refused:
        if refused.code != problems.FORBIDDEN:
            raise
        reason = f"{refused.reason} {what} needs the scope {scope} and access to it."
        remedy = f"Share it with the account, or connect again and allow {scope}."
        raise Reject(reason, code=problems.FORBIDDEN, scope=scope, remedy=remedy) from None


async def _read_bases(call: Call, ids: tuple[str, ...]) -> Page:
    wanted, found, bad, offset = set(ids), [], [], None
    # A base cannot be read by id with these scopes, so look through the list.
    while True:
        body = (await _list_bases(call, offset)).body
        records, rejected = mapping.each(
            mapping.entries(body, "bases"), "bases", mapping.base_record
        )
        found += [record for record in records if record.id in wanted]
        bad += rejected
        offset, before = mapping.next_offset(body), offset
        if offset in {None, before} or len(found) == len(wanted):
            return Page(records=found, rejected=bad, cursor=None)


async def _read_tables(call: Call, ids: tuple[str, ...]) -> Page:
    found: list[Record] = []
    bad: list[Rejected] = []
    for base, wanted in _grouped(ids).items():
        raws = await _tables_if_there(call, base)
        records, rejected = mapping.each(raws, "tables", partial(mapping.table_record, base))
        found += [record for record in records if record.id in wanted]
        bad += rejected
    return Page(records=found, rejected=bad, cursor=None)


async def _read_records(call: Call, ids: tuple[str, ...]) -> Page:
    found: list[Record] = []
    bad: list[Rejected] = []
    by_table = _grouped(ids)
    for base, paths in _grouped(by_table).items():
        raws = await _tables_if_there(call, base)
        tables, _ = mapping.each(raws, "tables", mapping.table_schema)
        owner = Part(id=base, name=f"base {base}")
        for table in [WalkedTable.of(schema) for schema in tables]:
            part = table_part(owner, table)
            if part.id in paths:
                page = await _read_rows(call, part, table, by_table[part.id])
                found += page.records
                bad += page.rejected
    return Page(records=found, rejected=bad, cursor=None)


async def _read_rows(call: Call, part: Part, table: WalkedTable, paths: list[str]) -> Page:
    found: list[Record] = []
    bad: list[Rejected] = []
    base = base_and_table(part)[0]
    for start in range(0, len(paths), PER_CALL):
        names = [path.rpartition("/")[2] for path in paths[start : start + PER_CALL]]
        formula = "OR({})".format(",".join(f"RECORD_ID()='{name}'" for name in names))
        place = Place(part=part, size=PER_CALL)
        # A page may be shorter than asked for, but never empty before the last: so there are at
        # most as many pages as ids.
        for _ in names:
            body = (await _list_records(call, place, base, table.id, formula=formula)).body
            raws = mapping.entries(body, "records")
            records, rejected = mapping.each(
                raws, "records", partial(mapping.row_record, base, table)
            )
            found += records
            bad += rejected
            cursor = following(body)
            if cursor is None:
                break
            place = Place(part=part, size=PER_CALL, cursor=cursor)
    return Page(records=found, rejected=bad, cursor=None)


async def _tables_if_there(call: Call, base: str) -> list[Any]:
    try:
        return await _list_tables(call, base, f"base {base}")
    except Reject as refused:
        if refused.code != problems.GONE:
            raise
        return []


def _grouped(paths: Iterable[str]) -> dict[str, list[str]]:
    """Return paths by the path of what they are in."""
    groups: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        groups[path.rpartition("/")[0]].append(path)
    return groups


READERS: Final[dict[str, Callable[[Call, tuple[str, ...]], Awaitable[Page]]]] = {
    "bases": _read_bases,
    "tables": _read_tables,
    "records": _read_records,
}

CONNECTOR: Final[Connector] = AirtableConnector()
