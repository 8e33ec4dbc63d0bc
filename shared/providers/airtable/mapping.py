"""Turn Airtable's bases, tables and rows into records.

Each entry of a page is read by itself, so that an odd one does not take its page with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, TypeVar

import msgspec

from shared.connector import (
    MALFORMED_PAGE,
    PartSchema,
    Record,
    Rejected,
    RetryLater,
)
from shared.contracts.items import provider_time

WEB: Final = "https://airtable.com"
LONGEST_NAME: Final = 200
ATTACHMENT: Final = ("id", "filename", "size", "type")
"""The fields that make an attachment; its links only say where it is at the moment."""
SPOKEN: Final = ("name", "text", "label", "email", "filename", "value", "url", "id")
"""The keys of a cell that hold what a person reads, best first: a collaborator's name, a barcode's
text, a button's label, an attachment's filename."""

T = TypeVar("T")
AppId = Annotated[str, msgspec.Meta(pattern=r"^app[0-9A-Za-z]+\Z")]
TableId = Annotated[str, msgspec.Meta(pattern=r"^tbl[0-9A-Za-z]+\Z")]
RecordId = Annotated[str, msgspec.Meta(pattern=r"^rec[0-9A-Za-z]+\Z")]


class AirtableBase(msgspec.Struct, frozen=True, rename="camel"):
    id: AppId
    name: Any = None
    permission_level: Any = None


class AirtableTable(msgspec.Struct, frozen=True, rename="camel"):
    id: TableId
    primary_field_id: Any = None
    fields: list[Any] = []
    name: Any = None


class AirtableRecord(msgspec.Struct, frozen=True, rename="camel"):
    id: RecordId
    fields: dict[str, Any]
    created_time: Any = None


class WalkedTable(msgspec.Struct, frozen=True, array_like=True):
    """Keep of a table's schema what its rows are read by. ``names`` maps field ids to names."""

    id: str
    name: str
    primary: str
    names: dict[str, str]

    @classmethod
    def of(cls, schema: AirtableTable) -> WalkedTable:
        names = {}
        for field in schema.fields:
            match field:
                case {"id": str(id_), "name": str(name)}:
                    names[id_] = name
                case _:
                    pass  # its cells keep the field's id
        primary = schema.primary_field_id
        return cls(
            id=schema.id,
            name=called(schema.name) or schema.id,
            primary=primary if isinstance(primary, str) else "",
            names=names,
        )


def base_schema(raws: list[Any]) -> PartSchema:
    """Return the connector's schema for all parts of a base: the tables by their id."""
    tables = [WalkedTable.of(schema) for schema in each(raws, "tables", table_schema)[0]]
    return {table.id: msgspec.to_builtins(table) for table in tables}


def table_in(schema: PartSchema | None, id_: str) -> WalkedTable | None:
    found = (schema or {}).get(id_)
    return None if found is None else msgspec.convert(found, WalkedTable)


def entries(body: Any, key: str) -> list[Any]:
    """Return the list at ``key`` of a page.

    Raises:
        RetryLater: the page has no such list.
    """
    found = body.get(key) if isinstance(body, dict) else None
    if not isinstance(found, list):
        reason = f"Airtable sent a page that cannot be read: it has no list of {key}."
        raise RetryLater(reason, code=MALFORMED_PAGE)
    return found


def next_offset(body: dict[str, Any]) -> str | None:
    """Return the cursor of the next page; on the last one ``offset`` is absent or null."""
    found = body.get("offset")
    if found is None or (isinstance(found, str) and found):
        return found
    reason = "Airtable sent a page that cannot be read: its offset is not a string."
    raise RetryLater(reason, code=MALFORMED_PAGE)


def each(raws: list[Any], key: str, read: Callable[[Any], T]) -> tuple[list[T], list[Rejected]]:
    """Return what ``read`` makes of every entry, and the entries that it cannot read."""
    good: list[T] = []
    bad: list[Rejected] = []
    for number, raw in enumerate(raws):
        try:
            good.append(read(raw))
        except msgspec.ValidationError as error:
            # msgspec says "Expected `str`, got `int` - at `$.fields[...].id`".
            reason, _, where = str(error).partition(" - at `$")
            pointer = f"/{key}/{number}" + where.rstrip("`").replace(".", "/").replace("[...]", "")
            bad.append(Rejected(pointer=pointer, reason=reason, raw=msgspec.json.encode(raw)))
    return good, bad


def base_record(raw: Any) -> Record:
    base = msgspec.convert(raw, AirtableBase)
    return Record(
        id=base.id,
        name=called(base.name) or "Untitled base",
        raw=raw,
        url=f"{WEB}/{base.id}",
        odd=() if isinstance(base.name, str | None) else ("name",),
    )


def table_record(base: str, raw: Any) -> Record:
    schema = msgspec.convert(raw, AirtableTable)
    path = f"{base}/{schema.id}"
    return Record(
        id=path,
        name=called(schema.name) or "Untitled table",
        raw=raw,
        parent_id=base,
        url=f"{WEB}/{path}",
        odd=() if isinstance(schema.name, str | None) else ("name",),
    )


def table_schema(raw: Any) -> AirtableTable:
    return msgspec.convert(raw, AirtableTable)


def readable_base(raw: Any) -> AirtableBase:
    """Return a base that may be opened.

    Raises:
        msgspec.ValidationError: it is malformed, or the account may not open it.
    """
    base = msgspec.convert(raw, AirtableBase)
    # A base of which only an interface is shared is listed with the permission "none".
    if base.permission_level == "none":
        name = called(base.name) or base.id
        raise msgspec.ValidationError(f"the account may not open the base “{name}”")
    return base


def row_record(base: str, table: WalkedTable, raw: Any) -> Record:
    """Return a row as a record, with its cells under the names of their fields."""
    row = msgspec.convert(raw, AirtableRecord)
    created_at = provider_time(row.created_time)
    parent = f"{base}/{table.id}"
    path = f"{parent}/{row.id}"
    # The walk asks for cells by field id; people know fields by their names. Empty cells are
    # absent.
    named = {table.names.get(key, key): value for key, value in row.fields.items()}
    lasting = {name: _lasting(value) for name, value in named.items() if isinstance(value, list)}
    unchanged = all(named[name] is value for name, value in lasting.items())
    return Record(
        id=path,
        name=spoken(row.fields.get(table.primary)) or "Untitled record",
        raw={**raw, "fields": named},
        content=None if unchanged else {**raw, "fields": {**named, **lasting}},
        parent_id=parent,
        url=f"{WEB}/{path}",
        created_at=created_at,
        odd=() if created_at or row.created_time is None else ("createdTime",),
    )


def called(name: Any) -> str:
    """Return a name on one line, empty when it is none."""
    return shorten(name) if isinstance(name, str) else ""


def _lasting(cell: list[Any]) -> list[Any]:
    """Return a cell without the links of its attachments, the cell itself if it has none.

    Airtable signs them anew for about every answer, and they die after two hours:
    https://airtable.com/developers/web/api/field-model#multipleattachment
    """
    lasting = [_without_links(value) for value in cell]
    return cell if all(one is value for one, value in zip(lasting, cell, strict=True)) else lasting


def _without_links(value: Any) -> Any:
    # A lookup of attachments is a list, and a lookup of lookups a list of lists.
    if isinstance(value, list):
        return _lasting(value)
    if isinstance(value, dict) and str(value.get("id")).startswith("att") and "url" in value:
        return {key: value.get(key) for key in ATTACHMENT}
    return value


def spoken(value: Any, depth: int = 3) -> str:
    """Return a cell as a person would read it, on one line, empty when there is nothing to read.

    ``depth`` bounds lists in lists: lookups of lookups nest.
    """
    match value:
        case str():
            return shorten(value)
        case bool():
            return "Yes" if value else "No"
        case int() | float():
            return f"{value:.15g}" if isinstance(value, float) else str(value)
        case list() if depth:
            parts = [spoken(part, depth - 1) for part in value[:20]]
            return shorten(", ".join([part for part in parts if part]))
        # A formula that failed is {"error": "#ERROR!"}.
        case dict() if depth and "error" not in value:
            texts = [spoken(value.get(key), depth - 1) for key in SPOKEN]
            return next((text for text in texts if text), "")
        case _:
            return ""


def shorten(text: str) -> str:
    """Return one line of at most 200 characters, without NUL (PostgreSQL stores none)."""
    line = " ".join(text[: 4 * LONGEST_NAME].replace("\0", "").split())
    return line if len(line) <= LONGEST_NAME else f"{line[: LONGEST_NAME - 1]}…"
