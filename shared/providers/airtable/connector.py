"""Read Airtable's bases, the tables of each base and the records of each table.

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
    Cursor,
    Interruption,
    Page,
    Record,
    Reject,
    Rejected,
    Request,
    Response,
    Restart,
)
from shared.providers.airtable import RECORDS, SCHEMA, mapping, problems
from shared.providers.airtable.mapping import WalkedTable
from shared.providers.airtable.walk import Walk

PER_CALL: Final = 100
"""Records of a page (the most that Airtable returns) and ids of one formula: 100 of them stay far
below the 16,000 characters that a URL may have."""
STARTS_ANEW: Final = 3
"""After so many expired iterators in one table, the whole resource starts again."""


class AirtableConnector:
    async def page(self, call: Call, resource: str, cursor: Cursor | None) -> Page:
        walk = Walk.from_cursor(cursor)
        if resource == "bases":
            return await _bases_page(call, walk)
        if walk.tables:
            return await _records_page(call, walk)
        if walk.bases:
            return await _tables_page(call, walk, resource)
        return await _discover(call, walk)

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


async def _bases_page(call: Call, walk: Walk) -> Page:
    body = (await _list_bases(call, walk.more)).body
    records, rejected = mapping.each(mapping.entries(body, "bases"), "bases", mapping.base_record)
    return Page(
        records=records,
        rejected=rejected,
        cursor=Walk(more=mapping.next_offset(body)).cursor(),
        part="bases",
    )


async def _discover(call: Call, walk: Walk) -> Page:
    """Read the next page of bases, to walk them one after the other. It has no records itself."""
    body = (await _list_bases(call, walk.more)).body
    found, rejected = mapping.each(mapping.entries(body, "bases"), "bases", mapping.readable_base)
    walk = walk.listed([(base.id, base.name) for base in found], mapping.next_offset(body))
    return Page(records=[], rejected=rejected, cursor=walk.cursor(), part="bases")


async def _tables_page(call: Call, walk: Walk, resource: str) -> Page:
    """Read the tables of the next base: as records, or to walk the rows of each."""
    base, name = walk.bases[0]
    try:
        raws = await _list_tables(call, base, name)
    except Reject as gone:
        if gone.code != problems.GONE:
            raise
        return Page(records=[], cursor=walk.next_base().cursor(), part=base)
    if resource == "tables":
        records, rejected = mapping.each(raws, "tables", partial(mapping.table_record, base))
        return Page(records=records, rejected=rejected, cursor=walk.next_base().cursor(), part=base)
    schemas, bad = mapping.each(raws, "tables", mapping.table_schema)
    return Page(
        records=[],
        rejected=bad,
        cursor=walk.opened(schemas).cursor(),
        part=f"{base}#{len(walk.left)}",
    )


async def _records_page(call: Call, walk: Walk) -> Page:
    base, table = walk.bases[0][0], walk.tables[0]
    part = f"{base}/{table.id}"
    try:
        walk, body = await _records(call, walk)
    except Reject as refused:
        onward = await _past_what_is_gone(call, walk, refused)
        return Page(records=[], cursor=onward.cursor(), part=part)
    raws = mapping.entries(body, "records")
    records, rejected = mapping.each(raws, "records", partial(mapping.row_record, base, table))
    return Page(
        records=records,
        rejected=rejected,
        cursor=walk.onward(mapping.next_offset(body)).cursor(),
        part=part,
    )


async def _records(call: Call, walk: Walk) -> tuple[Walk, Any]:
    """Read a page of the first table; start that table again when its iterator has expired.

    Raises:
        Restart: it has expired too often.
    """
    (base, name), table = walk.bases[0], walk.tables[0]
    try:
        return walk, (await _list_records(call, base, table, name, offset=walk.offset)).body
    except Restart:
        if walk.offset is None or walk.again >= STARTS_ANEW:
            raise
    walk = walk.anew()
    return walk, (await _list_records(call, base, table, name, offset=None)).body


async def _past_what_is_gone(call: Call, walk: Walk, refused: Reject) -> Walk:
    """Return the walk behind a table or base that is gone.

    Raises:
        Reject: ``refused`` itself, because the table is still there.
    """
    # Airtable gives the same answer for a table that was deleted and one that may not be read.
    # The base's list of tables tells them apart.
    if refused.code not in {problems.GONE, problems.FORBIDDEN}:
        raise refused
    try:
        listed = await _list_tables(call, *walk.bases[0])
    except Reject as gone:
        if gone.code == problems.GONE:
            return walk.next_base()
        raise refused from gone
    if any(isinstance(raw, dict) and raw.get("id") == walk.tables[0].id for raw in listed):
        raise refused
    return walk.next_table()


async def _list_bases(call: Call, offset: str | None) -> Response:
    params = (("offset", offset),) if offset else ()
    request = Request(method="GET", path="/v0/meta/bases", params=params, buckets=("token",))
    return await _allowed(call, request, "Listing the bases", SCHEMA)


async def _list_tables(call: Call, base: str, name: str) -> list[Any]:
    request = Request(
        method="GET", path=f"/v0/meta/bases/{base}/tables", buckets=("token", f"base:{base}")
    )
    answer = await _allowed(call, request, f"Listing the tables of base “{name or base}”", SCHEMA)
    return mapping.entries(answer.body, "tables")


async def _list_records(
    call: Call,
    base: str,
    table: WalkedTable,
    name: str,
    *,
    offset: str | None,
    formula: str | None = None,
) -> Response:
    """Read a page of records with their cells by field id, which survives renaming."""
    params = [("pageSize", str(PER_CALL)), ("returnFieldsByFieldId", "true")]
    if formula:
        params.append(("filterByFormula", formula))
    if offset:
        params.append(("offset", offset))
    buckets = ("token", f"base:{base}")
    request = Request(
        method="GET", path=f"/v0/{base}/{table.id}", params=tuple(params), buckets=buckets
    )
    what = f"Reading the records of table “{table.name}” in base “{name or base}”"
    return await _allowed(call, request, what, RECORDS)


async def _allowed(call: Call, request: Request, what: str, scope: str) -> Response:
    """Call Airtable, and say of a refusal what was refused and which scope it takes."""
    try:
        return await call(request)
    except Reject as refused:
        if refused.code != problems.FORBIDDEN:
            raise
        reason = (
            f"{refused.reason} {what} needs the scope {scope} and access to it. "
            "Connect again and allow both."
        )
        raise Reject(reason, code=problems.FORBIDDEN, scope=scope) from None


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
            return Page(records=found, rejected=bad, cursor=None, part="bases")


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
        schemas, _ = mapping.each(
            await _tables_if_there(call, base), "tables", mapping.table_schema
        )
        for schema in schemas:
            path = f"{base}/{schema.id}"
            if path in paths:
                page = await _read_rows(call, base, WalkedTable.of(schema), by_table[path])
                found += page.records
                bad += page.rejected
    return Page(records=found, rejected=bad, cursor=None)


async def _read_rows(call: Call, base: str, table: WalkedTable, paths: list[str]) -> Page:
    found: list[Record] = []
    bad: list[Rejected] = []
    for start in range(0, len(paths), PER_CALL):
        names = [path.rpartition("/")[2] for path in paths[start : start + PER_CALL]]
        formula = "OR({})".format(",".join(f"RECORD_ID()='{name}'" for name in names))
        offset: str | None = None
        # A page may be shorter than asked for, but never empty before the last: so there are at
        # most as many pages as ids.
        for _ in names:
            body = (await _list_records(call, base, table, "", offset=offset, formula=formula)).body
            raws = mapping.entries(body, "records")
            records, rejected = mapping.each(
                raws, "records", partial(mapping.row_record, base, table)
            )
            found += records
            bad += rejected
            offset = mapping.next_offset(body)
            if offset is None:
                break
    return Page(records=found, rejected=bad, cursor=None)


async def _tables_if_there(call: Call, base: str) -> list[Any]:
    try:
        return await _list_tables(call, base, "")
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
