"""Turn Notion's objects into records.

Each object is read by itself, so that an odd one does not take its page with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Final
from urllib.parse import unquote

import msgspec
from msgspec.structs import replace

from shared.connector import Record, Rejected
from shared.contracts.items import provider_time

UNTITLED: Final = "Untitled"
"""The word that Notion itself shows for a page without a title."""
FILED: Final = ("cover", "icon")
"""Fields of an object, beside its properties, that may be a file."""
LISTED: Final = 25
"""Notion gives so many references of a property with a page, and the others only with the property:
https://developers.notion.com/reference/retrieve-a-page-property"""
LONGEST_ID: Final = 200
"""Notion's ids are UUIDs of 36 characters. Only something absurd is refused."""


class Odd(ValueError):
    """A field has not the shape it should. ``pointer`` is a JSON pointer into the object."""

    def __init__(self, pointer: str, reason: str) -> None:
        super().__init__(reason)
        self.pointer, self.reason = pointer, reason


Reader = Callable[[dict[str, Any]], Record]


def page(found: dict[str, Any]) -> Record:
    properties = found.get("properties")
    if not isinstance(properties, dict):
        raise Odd("/properties", "the page has no properties")
    # The title's property can have any name, so look for its type.
    title: Any = []
    for value in properties.values():
        if isinstance(value, dict) and value.get("type") == "title":
            title = value.get("title")
            break
    return replace(_titled(found, title), truncated=_truncated(properties))


def data_source(found: dict[str, Any]) -> Record:
    return _titled(found, found.get("title", []))


def user(found: dict[str, Any]) -> Record:
    # Bots have no `person`, and people have no email there without the capability to see it.
    person = found.get("person")
    email = person.get("email") if isinstance(person, dict) else None
    name = found.get("name")
    odd = () if isinstance(name, str | None) else ("name",)
    return _record(found, _plain(name) or _plain(email) or "Unnamed user", odd=odd)


READERS: Final[dict[str, Reader]] = {"page": page, "data_source": data_source, "user": user}


def read(kind: str, results: Iterable[Any]) -> tuple[list[Record], list[Rejected]]:
    """Return the records of ``results``, and the objects that cannot be read.

    Objects of another kind and objects in the trash are passed over.
    """
    reader, records, rejected = READERS[kind], [], []
    for index, found in enumerate(results):
        pointer = f"/results/{index}"
        try:
            if found["object"] == kind and not in_trash(found):
                records.append(reader(found))
        except Odd as odd:
            rejected.append(_rejected(pointer + odd.pointer, odd.reason, found))
        except (AttributeError, KeyError, TypeError) as error:
            reason = f"the object is not shaped like a {kind} ({type(error).__name__})"
            rejected.append(_rejected(pointer, reason, found))
    return records, rejected


def completed(raw: dict[str, Any], pieces: Mapping[str, Sequence[Any]]) -> Record:
    """Return a page with the properties in ``pieces`` whole; the others stay truncated."""
    properties = dict(raw["properties"])
    done = set()
    for name, told in properties.items():
        id_ = _property_id(told) or ""
        whole = _whole(told, pieces[id_]) if id_ in pieces else None
        if whole is not None:
            properties[name] = whole
            done.add(id_)
    left = tuple(id_ for id_ in _truncated(raw["properties"]) if id_ not in done)
    return replace(page({**raw, "properties": properties}), truncated=left)


def property_values(kind: str, results: Iterable[Any]) -> list[Any]:
    """Return what the items of a property hold. For a rollup, each has a type of its own."""
    if kind != "rollup":
        return [item[kind] for item in results]
    values = []
    for item in results:
        inner = item["type"]
        value = item[inner]
        # An item holds one value of a list, where a page has the list.
        listed = inner in {"title", "rich_text", "people", "relation"}
        values.append({"type": inner, inner: [value] if listed else value})
    return values


def sources(results: Iterable[Any]) -> list[tuple[str, str]]:
    """Return id and title of the data sources in ``results``, whatever else is wrong with them."""
    found = []
    for one in results:
        if not isinstance(one, dict) or one.get("object") != "data_source":
            continue
        id_ = one.get("id")
        if not in_trash(one) and isinstance(id_, str) and _usable(id_):
            found.append((id_, _title(one) or id_))
    return found


def in_trash(found: dict[str, Any]) -> bool:
    return found.get("in_trash") is True


def _usable(id_: str) -> bool:
    return 0 < len(id_) <= LONGEST_ID and "\0" not in id_


def _title(source: dict[str, Any]) -> str:
    """Return at most 100 characters of a data source's title, empty when it has none."""
    text = _text(source.get("title", []))
    title = UNTITLED if text == "" else text or ""
    return " ".join(title.replace("\0", "").split())[:100]


def _truncated(properties: dict[str, Any]) -> tuple[str, ...]:
    """Return the decoded ids of the properties that are cut off, or may be."""
    told = [one for one in properties.values() if _property_id(one) is not None]
    # A rollup does not say of which relation it is made.
    over_cut = any(one.get("type") == "relation" and _is_cut(one) for one in told)
    return tuple(unquote(one["id"]) for one in told if _is_cut(one, over_cut=over_cut))


def _property_id(told: Any) -> str | None:
    id_ = told.get("id") if isinstance(told, dict) else None
    return unquote(id_) if isinstance(id_, str) else None


def _is_cut(told: dict[str, Any], *, over_cut: bool = False) -> bool:
    match told:
        case {"type": "relation", "has_more": bool(more)}:
            return more
        case {"type": "title" | "rich_text" | "people" | "relation" as kind}:
            return _is_full(told.get(kind))
        case {"type": "rollup", "rollup": {"type": "incomplete"}}:
            return True
        case {"type": "rollup", "rollup": {"type": "array" | "number" | "date", **rollup}}:
            return over_cut or _is_full(rollup.get("array"))
        case _:
            return False


def _is_full(value: Any) -> bool:
    """Return whether a list ends where Notion cuts. Nothing else says that it is cut."""
    if not isinstance(value, list):
        return False
    mentions = [one for one in value if isinstance(one, dict) and one.get("type") == "mention"]
    return LISTED in {len(value), len(mentions)}


def _whole(told: dict[str, Any], pieces: Sequence[Any]) -> dict[str, Any] | None:
    """Return a property with all that its pieces hold, None if they do not complete it."""
    kind = told["type"]
    if any(piece["type"] != kind for piece in pieces):
        return None
    values = list(chain.from_iterable(piece["values"] for piece in pieces))
    if kind == "relation":
        return {**told, "relation": values, "has_more": False}
    if kind != "rollup":
        return {**told, kind: values}
    # What is computed stands with the last piece, and the values themselves only in an array.
    match pieces[-1]["rollup"]:
        case {"type": "array", **others}:
            return {**told, "rollup": {**others, "type": "array", "array": values}}
        case {"type": "number" | "date"} as computed:
            return {**told, "rollup": computed}
        case _:
            return None


def _titled(found: dict[str, Any], title: Any) -> Record:
    text = _text(title)
    return _record(found, text or UNTITLED, odd=("title",) if text is None else ())


def _record(found: dict[str, Any], name: str, *, odd: tuple[str, ...]) -> Record:
    id_ = found.get("id")
    if not isinstance(id_, str) or not _usable(id_):
        raise Odd("/id", "the object has no usable id")
    # {"type": "page_id", "page_id": …}; for the top of a workspace {"type": "workspace",
    # "workspace": true}, which is no id.
    parent = found.get("parent")
    kind = parent.get("type") if isinstance(parent, dict) else None
    parent_id = parent.get(kind) if isinstance(parent, dict) and isinstance(kind, str) else None
    beside = {
        "parent": kind,
        "url": _text_or_none(found.get("url")),
        "created_time": provider_time(found.get("created_time")),
        "last_edited_time": provider_time(found.get("last_edited_time")),
    }
    missing = [field for field, value in beside.items() if value is None]
    unread = [field for field in missing if found.get(field) is not None]
    if kind not in {None, "workspace"} and not isinstance(parent_id, str):
        unread.append("parent")
    return Record(
        id=id_,
        name=name,
        parent_id=_text_or_none(parent_id),
        # A row belongs to its data source, and search may have found it first.
        part=_text_or_none(parent_id) if kind == "data_source_id" else None,
        url=beside["url"],
        created_at=beside["created_time"],
        modified_at=beside["last_edited_time"],
        raw=found,
        content=_content(found),
        odd=(*odd, *unread),
    )


def _content(found: dict[str, Any]) -> dict[str, Any] | None:
    """Return an object without the signatures of its files, None if it has no files of Notion's.

    Notion signs the link of a file that it hosts anew for each answer, for an hour:
    https://developers.notion.com/reference/file-object
    """
    changed = {name: _unsigned(found[name]) for name in FILED if found.get(name)}
    properties = found.get("properties")
    if isinstance(properties, dict):
        filed = {name: _unsigned(told) for name, told in properties.items() if _may_hold(told)}
        changed["properties"] = {**properties, **filed} if filed else properties
    same = all(found[name] == value for name, value in changed.items())
    return None if same else {**found, **changed}


def _may_hold(told: Any) -> bool:
    """Return whether a property may hold files: itself, or as a rollup of such properties."""
    return isinstance(told, dict) and told.get("type") in ("files", "rollup")


def _unsigned(value: Any) -> Any:
    if isinstance(value, list):
        return [_unsigned(one) for one in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("url"), str) and "expiry_time" in value:
        return {"url": value["url"].partition("?")[0]}
    return {name: _unsigned(one) for name, one in value.items()}


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _text(parts: Any) -> str | None:
    """Return a rich text as plain text, None when it is not one."""
    if not isinstance(parts, list):
        return None
    # Formatting splits a title into parts: the first one is not all of it.
    try:
        return "".join([part["plain_text"] for part in parts]).strip()
    except (KeyError, TypeError):
        return None


def _plain(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _rejected(pointer: str, reason: str, found: object) -> Rejected:
    return Rejected(pointer=pointer, reason=reason, raw=msgspec.json.encode(found))
