"""Turn HubSpot's objects into records: ids, names, links and times.

Each object is read by itself, so that an odd one does not take its page with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from shared.connector import Record, Rejected
from shared.contracts.items import provider_time

Properties = dict[str, Any]

NO_CONTENT: Final = frozenset({"url", "objectWriteTraceId"})
"""Keys of an object that say where it is shown and which write it came from, not what it is.

HubSpot may leave them out of one kind of answer, and an account that moves to another data centre
gets other addresses. Neither makes a new version of an object; every other key does.
"""
TYPE_IDS: Final = {"contacts": "0-1", "companies": "0-2", "deals": "0-3"}
"""HubSpot's numbers of the object types, as a record's link has them."""


def read_rows(
    rows: list[Any], resource: str, link: str | None
) -> tuple[list[Record], list[Rejected]]:
    """Return the records of a page's rows, and the rows that cannot be read.

    ``link`` is a record's URL up to its id, None when the account is unknown.
    """
    records, rejected = [], []
    for n, row in enumerate(rows):
        reason = _flaw(row)
        if reason is None:
            records.append(_record(row, resource, link))
        else:
            raw = msgspec.json.encode(row)
            rejected.append(Rejected(pointer=f"/results/{n}", reason=reason, raw=raw))
    return records, rejected


def _record(row: dict[str, Any], resource: str, link: str | None) -> Record:
    id_ = row["id"]
    times = {field: provider_time(row.get(field)) for field in ("createdAt", "updatedAt")}
    unread = [field for field, at in times.items() if at is None and row.get(field) is not None]
    named = [row["properties"].get(name) for name in NAMED_BY[resource]]
    if any(value is not None and not isinstance(value, str) for value in named):
        unread.append("name")
    return Record(
        id=id_,
        name=NAMES[resource](row["properties"], id_),
        raw=row,
        content={key: value for key, value in row.items() if key not in NO_CONTENT},
        url=None if link is None else link + id_,
        created_at=times["createdAt"],
        modified_at=times["updatedAt"],
        replaces=_merged(row["properties"], id_),
        odd=tuple(unread),
    )


def is_object_id(id_: str) -> bool:
    """Return whether a text can be an id. Anything else must not get into a link or a key."""
    return id_.isascii() and id_.isdigit()


def _merged(properties: Properties, id_: str) -> tuple[str, ...]:
    """Return the ids of the objects that were merged into this one: ``11;22``."""
    named = properties.get("hs_merged_object_ids")
    ids = named.split(";") if isinstance(named, str) else []
    return tuple(one for one in ids if is_object_id(one) and one != id_)


def _flaw(row: Any) -> str | None:
    """Return what is wrong with a row, None when it can be read."""
    if not isinstance(row, dict):
        return "the object is not a JSON object"
    id_ = row.get("id")
    if not (isinstance(id_, str) and is_object_id(id_)):
        return "the object's id is not a string of digits"
    if not isinstance(row.get("properties"), dict):
        return "the object's properties are not a JSON object"
    return None


def _text(value: Any) -> str:
    """Return a property as one line of text, empty when it is not a text."""
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


NAMED_BY: Final = {
    "companies": ("name", "domain"),
    "contacts": ("firstname", "lastname", "email"),
    "deals": ("dealname",),
}
"""The properties that a record's name is made of."""
NAMES: Final[dict[str, Callable[[Properties, str], str]]] = {
    "companies": _company,
    "contacts": _contact,
    "deals": _deal,
}
