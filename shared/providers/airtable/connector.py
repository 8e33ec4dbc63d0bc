"""How Airtable is read: bases, the tables of each, the records of each table (https://airtable.com/developers/web/api)."""

from __future__ import annotations

from functools import partial
from typing import Any

from shared.connector import Bucket, Call, Connector, Cursor, Interruption, Page, Reject, Response, Restart
from shared.providers.airtable import items, problems, reads
from shared.providers.airtable.walk import Walk

STARTS_ANEW = 3
"""How often one table is read from its start again after its iterator expired, before the resource starts anew."""


class Airtable:
    async def page(self, call: Call, resource: str, cursor: Cursor | None) -> Page:
        walk = Walk.at(cursor)
        if resource == "bases":
            return await _bases_page(call, walk)
        if walk.tables:
            return await _records_page(call, walk)
        if walk.bases:
            return await _tables_page(call, walk, resource)
        return await _discover(call, walk)

    async def expected(self, call: Call, resource: str) -> int | None:  # noqa: ARG002  # Airtable gives no totals
        return None

    async def read(self, call: Call, resource: str, ids: tuple[str, ...]) -> Page:
        return await reads.READERS[resource](call, ids)

    def problem(self, response: Response) -> Interruption | None:
        return problems.problem(response)

    def limits(self, response: Response) -> tuple[Bucket, ...]:  # noqa: ARG002  # no answer tells of a limit
        return ()


async def _bases_page(call: Call, walk: Walk) -> Page:
    body = (await reads.bases(call, walk.more)).body
    records, rejected = items.each(items.entries(body, "bases"), "bases", items.base_record)
    return Page(records=records, rejected=rejected, cursor=Walk(more=items.next_offset(body)).cursor(), place="bases")


async def _discover(call: Call, walk: Walk) -> Page:
    """The next page of bases, to be walked one after the other; itself it holds no records."""
    body = (await reads.bases(call, walk.more)).body
    found, rejected = items.each(items.entries(body, "bases"), "bases", items.readable_base)
    walk = walk.listed([(base.id, base.name) for base in found], items.next_offset(body))
    return Page(records=[], rejected=rejected, cursor=walk.cursor(), place="bases")


async def _tables_page(call: Call, walk: Walk, resource: str) -> Page:
    """The tables of the next base: records themselves, or what the walk over records opens."""
    base, name = walk.bases[0]
    try:
        raws = await reads.tables(call, base, name)
    except Reject as gone:
        if gone.code != problems.GONE:
            raise
        return Page(records=[], cursor=walk.next_base().cursor(), place=base)
    if resource == "tables":
        records, rejected = items.each(raws, "tables", partial(items.table_record, base))
        return Page(records=records, rejected=rejected, cursor=walk.next_base().cursor(), place=base)
    schemas, bad = items.each(raws, "tables", items.schema)
    return Page(records=[], rejected=bad, cursor=walk.opened(schemas).cursor(), place=f"{base}#{len(walk.left)}")


async def _records_page(call: Call, walk: Walk) -> Page:
    base, table = walk.bases[0][0], walk.tables[0]
    place = f"{base}/{table.id}"
    try:
        walk, body = await _records(call, walk)
    except Reject as refused:
        onward = await _past_what_is_gone(call, walk, refused)
        return Page(records=[], cursor=onward.cursor(), place=place)
    raws = items.entries(body, "records")
    records, rejected = items.each(raws, "records", partial(items.row_record, base, table))
    return Page(records=records, rejected=rejected, cursor=walk.onward(items.next_offset(body)).cursor(), place=place)


async def _records(call: Call, walk: Walk) -> tuple[Walk, Any]:
    """A page of the first table; from that table's start when the iterator has expired.

    Raises:
        Restart: it has expired too often.
    """
    (base, name), table = walk.bases[0], walk.tables[0]
    try:
        return walk, (await reads.records(call, base, table, name, offset=walk.offset)).body
    except Restart:
        if walk.offset is None or walk.again >= STARTS_ANEW:
            raise
    walk = walk.anew()
    return walk, (await reads.records(call, base, table, name, offset=None)).body


async def _past_what_is_gone(call: Call, walk: Walk, refused: Reject) -> Walk:
    """Airtable answers alike for a table that was deleted and one that may not be read: ask the base which it is.

    Raises:
        Reject: ``refused`` itself, as the table is still there.
    """
    if refused.code not in {problems.GONE, problems.FORBIDDEN}:
        raise refused
    try:
        listed = await reads.tables(call, *walk.bases[0])
    except Reject as gone:
        if gone.code == problems.GONE:
            return walk.next_base()
        raise refused from gone
    if any(isinstance(raw, dict) and raw.get("id") == walk.tables[0].id for raw in listed):
        raise refused
    return walk.next_table()


CONNECTOR: Connector = Airtable()
