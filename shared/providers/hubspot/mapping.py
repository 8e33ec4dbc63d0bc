"""HubSpot's objects as records: ids, names, links."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from shared.connector import Record, Rejected

Properties = dict[str, Any]

NO_CONTENT: Final = frozenset({"url", "objectWriteTraceId"})
"""Keys of an object that say where it is shown and which write it came from, and nothing of what it is.

HubSpot may leave them out of one kind of answer, and an account's move to another data centre changes its addresses:
neither is a new version of an object. Whatever else stands beside the properties is content.
"""
TYPE_IDS: Final = {"contacts": "0-1", "companies": "0-2", "deals": "0-3"}
"""HubSpot's own numbers of the object types, as they stand in a record's link."""


def read_rows(
    rows: list[Any], resource: str, link: str | None
) -> tuple[list[Record], list[Rejected]]:
    """Read each object by itself. ``link`` is the record's URL up to its id, None when the account is unknown."""
    name, records, rejected = NAMES[resource], [], []
    for n, row in enumerate(rows):
        reason = _flaw(row)
        if reason:
            rejected.append(
                Rejected(pointer=f"/results/{n}", reason=reason, raw=msgspec.json.encode(row))
            )
            continue
        id_, properties = row["id"], row["properties"]
        records.append(
            Record(
                id=id_,
                name=name(properties, id_),
                raw=row,
                content={key: value for key, value in row.items() if key not in NO_CONTENT},
                url=link and link + id_,
                created_at=row.get("createdAt"),
                modified_at=row.get("updatedAt"),
            )
        )
    return records, rejected


def _flaw(row: Any) -> str | None:
    if not isinstance(row, dict):
        return "the object is not a JSON object"
    id_ = row.get("id")
    if not (isinstance(id_, str) and id_.isascii() and id_.isdigit()):
        return "the object has no id of digits"
    if not isinstance(row.get("properties"), dict):
        return "the object's properties are not a JSON object"
    if not isinstance(row.get("createdAt"), str | None) or not isinstance(
        row.get("updatedAt"), str | None
    ):
        return "the object's times are not strings"
    return None


def _text(value: Any) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""


def _company(properties: Properties, id_: str) -> str:
    get = properties.get
    return _text(get("name")) or _text(get("domain")) or f"Company {id_}"


def _contact(properties: Properties, id_: str) -> str:
    get = properties.get
    first, last = _text(get("firstname")), _text(get("lastname"))
    if first and last:
        return f"{first} {last}"
    return first or last or _text(get("email")) or f"Contact {id_}"


def _deal(properties: Properties, id_: str) -> str:
    return _text(properties.get("dealname")) or f"Deal {id_}"


NAMES: Final[dict[str, Callable[[Properties, str], str]]] = {
    "companies": _company,
    "contacts": _contact,
    "deals": _deal,
}
