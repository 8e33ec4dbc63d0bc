"""Airtable's read calls: which buckets they count against and which scope they need; and reading items again by id."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

from shared.connector import Call, Page, Record, Reject, Rejected, Request, Response
from shared.providers.airtable import RECORDS, SCHEMA, items
from shared.providers.airtable.problems import FORBIDDEN, GONE

PER_CALL = 100
"""Records of a page, and ids of one formula: 100 of them stay far below the 16,000 characters of a URL."""


async def bases(call: Call, offset: str | None) -> Response:
    params = (("offset", offset),) if offset else ()
    request = Request(method="GET", path="/v0/meta/bases", params=params, buckets=("token",))
    return await _allowed(call, request, "listing the bases", SCHEMA)


async def tables(call: Call, base: str, name: str) -> list[Any]:
    request = Request(method="GET", path=f"/v0/meta/bases/{base}/tables", buckets=("token", f"base:{base}"))
    answer = await _allowed(call, request, f"listing the tables of base “{name or base}”", SCHEMA)
    return items.entries(answer.body, "tables")


async def records(
    call: Call, base: str, table: items.Table, name: str, *, offset: str | None, formula: str | None = None
) -> Response:
    """A page of records, cells by field id: a renamed field then keeps its place."""
    params = [("pageSize", str(PER_CALL)), ("returnFieldsByFieldId", "true")]
    params += [("filterByFormula", formula)] if formula else []
    params += [("offset", offset)] if offset else []
    buckets = ("token", f"base:{base}")
    request = Request(method="GET", path=f"/v0/{base}/{table.id}", params=tuple(params), buckets=buckets)
    what = f"reading the records of table “{table.name}” in base “{name or base}”"
    return await _allowed(call, request, what, RECORDS)


async def _allowed(call: Call, request: Request, what: str, scope: str) -> Response:
    """Say of a refusal what was refused and which scope it takes."""
    try:
        return await call(request)
    except Reject as refused:
        if refused.code != FORBIDDEN:
            raise
        advice = f"{what} needs the scope {scope} and access to it: reconnect and allow both"
        raise Reject(f"{refused.reason}. {advice[0].upper()}{advice[1:]}", code=FORBIDDEN, scope=scope) from None


async def _again_bases(call: Call, ids: tuple[str, ...]) -> Page:
    wanted, found, bad, offset = set(ids), [], [], None
    while True:
        body = (await bases(call, offset)).body
        records_, rejected = items.each(items.entries(body, "bases"), "bases", items.base_record)
        found += [record for record in records_ if record.id in wanted]
        bad += rejected
        offset, before = items.next_offset(body), offset
        if offset in {None, before} or len(found) == len(wanted):
            return Page(records=found, rejected=bad, cursor=None, place="bases")


async def _again_tables(call: Call, ids: tuple[str, ...]) -> Page:
    found: list[Record] = []
    bad: list[Rejected] = []
    for base, wanted in _grouped(ids).items():
        raws = await _tables_if_there(call, base)
        records_, rejected = items.each(raws, "tables", partial(items.table_record, base))
        found += [record for record in records_ if record.id in wanted]
        bad += rejected
    return Page(records=found, rejected=bad, cursor=None)


async def _again_records(call: Call, ids: tuple[str, ...]) -> Page:
    found: list[Record] = []
    bad: list[Rejected] = []
    by_table = _grouped(ids)
    for base, paths in _grouped(by_table).items():
        schemas, _ = items.each(await _tables_if_there(call, base), "tables", items.schema)
        for schema in schemas:
            if (path := f"{base}/{schema.id}") in paths:
                page = await _chosen(call, base, items.Table.of(schema), by_table[path])
                found += page.records
                bad += page.rejected
    return Page(records=found, rejected=bad, cursor=None)


async def _chosen(call: Call, base: str, table: items.Table, paths: list[str]) -> Page:
    found: list[Record] = []
    bad: list[Rejected] = []
    for start in range(0, len(paths), PER_CALL):
        names = [path.rpartition("/")[2] for path in paths[start : start + PER_CALL]]
        formula = "OR({})".format(",".join(f"RECORD_ID()='{name}'" for name in names))
        offset: str | None = None
        for _ in names:
            body = (await records(call, base, table, "", offset=offset, formula=formula)).body
            raws = items.entries(body, "records")
            records_, rejected = items.each(raws, "records", partial(items.row_record, base, table))
            found += records_
            bad += rejected
            offset = items.next_offset(body)
            if offset is None:
                break
    return Page(records=found, rejected=bad, cursor=None)


async def _tables_if_there(call: Call, base: str) -> list[Any]:
    try:
        return await tables(call, base, "")
    except Reject as refused:
        if refused.code != GONE:
            raise
        return []


def _grouped(paths: Iterable[str]) -> dict[str, list[str]]:
    """Paths by what they are in."""
    groups: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        groups[path.rpartition("/")[0]].append(path)
    return groups


READERS: dict[str, Callable[[Call, tuple[str, ...]], Awaitable[Page]]] = {
    "bases": _again_bases,
    "tables": _again_tables,
    "records": _again_records,
}
