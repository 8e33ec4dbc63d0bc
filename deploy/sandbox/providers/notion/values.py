"""Make property values in Notion's shapes.

https://developers.notion.com/reference/property-value-object
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from random import Random
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

from deploy.sandbox.providers.notion.sample_names import (
    COLORS,
    COMPANIES,
    FIRST,
    LAST,
    PLACES,
    TAGS,
)

LONGEST_TEXT: Final = 2000
"""Characters in one part of a rich text; longer text comes in several parts."""
ANNOTATIONS: Final = {
    "bold": False,
    "italic": False,
    "strikethrough": False,
    "underline": False,
    "code": False,
    "color": "default",
}
STAGES: Final = ("Not started", "In progress", "Blocked", "Done")
Json = dict[str, Any]


def rich_text(text: str, *, bold_from: int | None = None) -> list[Json]:
    """Return ``text`` in parts, bold from ``bold_from`` on, which starts another part."""
    cuts = set(range(0, len(text), LONGEST_TEXT)) | (
        {bold_from} if bold_from and bold_from < len(text) else set()
    )
    starts = sorted(cuts)
    ends = [*starts[1:], len(text)]
    bold = bold_from or len(text)
    return [
        _part(text[start:end], bold=start >= bold) for start, end in zip(starts, ends, strict=False)
    ]


def _part(text: str, *, bold: bool) -> Json:
    return {
        "type": "text",
        "text": {"content": text, "link": None},
        "annotations": {**ANNOTATIONS, "bold": bold},
        "plain_text": text,
        "href": None,
    }


def property_id(name: str) -> str:
    """Return a short, URL-encoded id, as Notion's are; the title's id is always ``title``."""
    number = zlib.crc32(name.encode())
    return quote("".join(chr(33 + (number >> shift) % 90) for shift in (0, 7, 14, 21)), safe="")


def option(name: str) -> Json:
    number = zlib.crc32(name.encode())
    return {"id": f"{number:08x}", "name": name, "color": COLORS[number % len(COLORS)]}


def person(user_id: str) -> Json:
    return {"object": "user", "id": user_id}


def _date(rng: Random) -> Json:
    day = f"2026-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
    return {
        "start": day if rng.random() < 0.7 else f"{day}T09:30:00.000+02:00",
        "end": None,
        "time_zone": None,
    }


def _files(rng: Random) -> list[Json]:
    """Return a file elsewhere, or the key of one that Notion hosts: a link is made when shown."""
    name = f"{rng.choice(TAGS)} {rng.randint(1, 99)}.pdf"
    if rng.random() < 0.2:
        url = f"https://files.example/{quote(name)}"
        return [{"name": name, "type": "external", "external": {"url": url}}]
    key = f"{UUID(int=rng.getrandbits(128), version=4)}/{quote(name)}"
    return [{"name": name, "type": "file", "file": {"key": key}}]


def _id(rng: Random) -> str:
    return str(UUID(int=rng.getrandbits(128), version=4))


def _formula(rng: Random) -> Json:
    """Return a result of each type that a formula may have; one that cannot be had is null."""
    results: tuple[tuple[str, Any], ...] = (
        ("string", rng.choice(PLACES)),
        ("number", rng.choice((0, -1.5, 1e21))),
        ("boolean", True),
        ("date", _date(rng)),
        ("string", None),
    )
    kind, result = rng.choice(results)
    return {"type": kind, kind: result}


MIXED: Final[list[Json]] = [{"type": "number", "number": 3}, {"type": "select", "select": None}]


def _rollup(rng: Random) -> Json:
    """Return a number, a date, or the values themselves, each with a type of its own."""
    results: tuple[tuple[str, Any, str], ...] = (
        ("number", rng.choice((None, 7)), "sum"),
        ("date", _date(rng), "latest_date"),
        ("array", MIXED, "show_original"),
        ("unsupported", {}, "show_unique"),
    )
    kind, result, function = rng.choice(results)
    return {"type": kind, kind: result, "function": function}


def _place(rng: Random) -> Json:
    name = rng.choice(PLACES)
    at = {"lat": rng.randint(-89, 89) + 0.5, "lon": rng.randint(-179, 179) + 0.25}
    return {**at, "name": name, "address": f"{name} 1", "aws_place_id": None}


def _verification(rng: Random) -> Json:
    if rng.random() < 0.5:
        return {"state": "unverified", "verified_by": None, "date": None}
    return {"state": "verified", "verified_by": person(_id(rng)), "date": _date(rng)}


VALUES: Final[dict[str, Callable[[Random], Any]]] = {
    "rich_text": lambda rng: rich_text(
        f"{rng.choice(COMPANIES)} — {rng.choice(PLACES)}, with {rng.choice(FIRST)}"
    ),
    "number": lambda rng: rng.choice((0, 3, 12.5, -40, 1999, 125_000)),
    "select": lambda rng: option(rng.choice(("Low", "Medium", "High", "Urgent"))),
    "multi_select": lambda rng: [option(tag) for tag in rng.sample(TAGS, rng.randint(0, 3))],
    "status": lambda rng: option(rng.choice(STAGES)),
    "date": _date,
    "checkbox": lambda rng: rng.random() < 0.5,
    "files": _files,
    "url": lambda rng: f"https://{rng.choice(COMPANIES).lower()}.example/{rng.randint(1, 999)}",
    "email": lambda rng: f"{rng.choice(FIRST)}.{rng.choice(LAST)}@example.com".lower().replace(
        " ", ""
    ),
    "phone_number": lambda rng: f"+49 30 555 {rng.randint(1000, 9999)}",
    # Guests may be named although no list of users has them.
    "people": lambda rng: [person(_id(rng)) for _ in range(rng.randint(0, 2))],
    "relation": lambda rng: [{"id": _id(rng)} for _ in range(rng.randint(0, 3))],
    "formula": _formula,
    "rollup": _rollup,
    "unique_id": lambda rng: {"prefix": "INC", "number": rng.randint(1, 9999)},
    "place": _place,
    "verification": _verification,
    "button": lambda _: {},
}
OF_THE_PAGE: Final = {"created_time", "last_edited_time", "created_by", "last_edited_by"}
"""Kinds of properties that repeat what a page says of itself."""
NEVER_NULL: Final = {"rich_text", "multi_select", "checkbox", "files", "people", "relation"}
ALWAYS_SET: Final = {"checkbox", "formula", "rollup", "unique_id", "button"}


def value(kind: str, rng: Random) -> Any:
    """Return a value for a property of that kind; one in eight is empty.

    What repeats something of the page is filled in when it is shown.
    """
    if kind in OF_THE_PAGE:
        return None
    if rng.random() >= 0.125 or kind in ALWAYS_SET:
        return VALUES[kind](rng)
    return [] if kind in NEVER_NULL else None


SCHEMAS: Final[dict[str, Json]] = {
    "number": {"format": "number"},
    "formula": {"expression": 'prop("Summary")'},
    "unique_id": {"prefix": "INC"},
    "rollup": {
        "function": "show_original",
        "relation_property_name": "Causes",
        "rollup_property_name": "Summary",
    },
}


def schema_of(kind: str) -> Json:
    """Return what a data source says about a property of that kind."""
    names = {"select": ("Low", "Medium", "High", "Urgent"), "multi_select": TAGS, "status": STAGES}
    if kind in names:
        return {"options": [option(name) for name in names[kind]]}
    return SCHEMAS.get(kind, {})
