"""Notion's objects as records. Each is read on its own: one that is odd does not take its page with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from shared.connector import Record, Rejected

UNTITLED: Final = "Untitled"
LONGEST_ID: Final = 200


class Odd(ValueError):
    """A field that is not of its shape: where (a JSON pointer into the object), and what is wrong with it."""

    def __init__(self, pointer: str, reason: str) -> None:
        super().__init__(reason)
        self.pointer, self.reason = pointer, reason


Reader = Callable[[dict[str, Any]], Record]


def page(found: dict[str, Any]) -> Record:
    properties = found.get("properties")
    if not isinstance(properties, dict):
        raise Odd("/properties", "a page without its properties")
    title: Any = ()
    for value in properties.values():
        if value.get("type") == "title":
            title = value["title"]
            break
    return _record(found, _text(title))


def data_source(found: dict[str, Any]) -> Record:
    return _record(found, _text(found.get("title") or ()))


def user(found: dict[str, Any]) -> Record:
    person = found.get("person")
    email = person.get("email") if isinstance(person, dict) else None
    return _record(found, _plain(found.get("name")) or _plain(email) or "Unnamed user")


READERS: Final[dict[str, Reader]] = {"page": page, "data_source": data_source, "user": user}


def read(kind: str, results: Iterable[Any]) -> tuple[list[Record], list[Rejected]]:
    """The records of a page's ``results`` that are objects of ``kind`` and not in the trash, and those that are odd."""
    reader, records, rejected = READERS[kind], [], []
    for place, found in enumerate(results):
        try:
            if found["object"] == kind and found.get("in_trash") is not True:
                records.append(reader(found))
        except Odd as odd:
            rejected.append(_rejected(f"/results/{place}{odd.pointer}", odd.reason, found))
        except (AttributeError, KeyError, TypeError) as error:
            rejected.append(
                _rejected(
                    f"/results/{place}", f"not shaped like a {kind} ({type(error).__name__})", found
                )
            )
    return records, rejected


def source_ids(results: Iterable[Any]) -> list[str]:
    """The ids of the data sources among ``results``, whatever else may be wrong with them."""
    found = (one for one in results if isinstance(one, dict) and one.get("object") == "data_source")
    ids = (one.get("id") for one in found if one.get("in_trash") is not True)
    return [id_ for id_ in ids if isinstance(id_, str) and id_]


def _record(found: dict[str, Any], name: str) -> Record:
    id_ = found.get("id")
    if not isinstance(id_, str) or not 0 < len(id_) <= LONGEST_ID:
        raise Odd("/id", "no usable id")
    parent = found.get("parent")
    parent_id = parent.get(parent["type"]) if parent else None
    return Record(
        id=id_,
        name=name,
        parent_id=parent_id if isinstance(parent_id, str) else None,
        url=_optional(found, "url"),
        created_at=_optional(found, "created_time"),
        modified_at=_optional(found, "last_edited_time"),
        raw=found,
    )


def _optional(found: dict[str, Any], field: str) -> str | None:
    value = found.get(field)
    if value is None or isinstance(value, str):
        return value
    raise Odd(f"/{field}", f"{field} is not a text")


def _text(parts: Iterable[dict[str, Any]]) -> str:
    """A rich text as plain text: formatting splits a title into parts, so that the first one alone is not the title."""
    return "".join([part["plain_text"] for part in parts]).strip() or UNTITLED


def _plain(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _rejected(pointer: str, reason: str, found: object) -> Rejected:
    return Rejected(pointer=pointer, reason=reason, raw=msgspec.json.encode(found))
