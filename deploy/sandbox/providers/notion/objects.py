"""Make the objects of a workspace, each from the seed and its number alone."""

from __future__ import annotations

from hashlib import blake2b
from random import Random
from typing import Final
from uuid import UUID

from msgspec.structs import replace

from deploy.sandbox.providers.notion.sample_names import (
    ADJECTIVES,
    COMPANIES,
    FIRST,
    ICONS,
    LAST,
    NASTY,
    NOUNS,
    PLACES,
)
from deploy.sandbox.providers.notion.values import (
    Json,
    person,
    property_id,
    rich_text,
    schema_of,
    value,
)
from deploy.sandbox.world import Rows, SandboxRow

TABLES: Final = (
    (
        "Projects",
        "Name",
        {"Stage": "status", "Due": "date", "Budget": "number", "Tags": "multi_select"},
    ),
    (
        "Tasks",
        "Task",
        {"Done": "checkbox", "Priority": "select", "Estimate": "number", "Due": "date"},
    ),
    ("Meeting notes", "Topic", {"When": "date", "Summary": "rich_text", "Tags": "multi_select"}),
    (
        "Customers",
        "Company",
        {"Contact": "email", "Phone": "phone_number", "Site": "url", "Stage": "status"},
    ),
    (
        "Reading list",
        "Title",
        {"Author": "rich_text", "Link": "url", "Read": "checkbox", "Score": "number"},
    ),
    (
        "Incidents",
        "Summary",
        {
            "Severity": "select",
            "Opened": "date",
            "Stage": "status",
            "Evidence": "files",
            # A property of each kind that the other tables do without.
            "On call": "people",
            "Causes": "relation",
            "Cost": "formula",
            "Effort": "rollup",
            "Key": "unique_id",
            "Site": "place",
            "Reviewed": "verification",
            "Close": "button",
            "Reported": "created_time",
            "Reporter": "created_by",
            "Touched": "last_edited_time",
            "Editor": "last_edited_by",
        },
    ),
)
RELATED: Final = "Related"
"""The relation of a page with many references."""
HIDDEN_EVERY: Final = 17
"""Search misses every 17th row of the data sources, because Notion's search is not exhaustive."""


def uid(seed: int, *what: object) -> str:
    digest = blake2b(":".join(map(str, (seed, *what))).encode(), digest_size=16).digest()
    return str(UUID(bytes=digest, version=4))


def shared_count(sources: int) -> int:
    """Return how many data sources get rows; with more than three, the last one stays empty."""
    return sources - 1 if sources > 3 else sources


def user(seed: int, n: int) -> Json:
    rng = Random(f"{seed}:users:{n}")
    if n % 8 == 7:
        bot = {"owner": {"type": "workspace", "workspace": True}, "workspace_name": None}
        return {
            "name": f"{rng.choice(COMPANIES)} automation",
            "avatar_url": None,
            "type": "bot",
            "bot": bot,
        }
    name = f"{rng.choice(FIRST)} {rng.choice(LAST)}" if n % 11 != 10 else None
    mail = f"{(name or 'nobody').lower().replace(' ', '.')}.{n}@example.com"
    return {"name": name, "avatar_url": None, "type": "person", "person": {"email": mail}}


def data_source(seed: int, n: int) -> Json:
    rng = Random(f"{seed}:data_sources:{n}")
    table, title_name, columns = TABLES[n % len(TABLES)]
    name = table if n < len(TABLES) else f"{table} {rng.choice(PLACES)}"
    properties: Json = {
        title_name: {
            "id": "title",
            "name": title_name,
            "description": None,
            "type": "title",
            "title": {},
        }
    }
    for column, kind in columns.items():
        told = {
            "id": property_id(column),
            "name": column,
            "description": None,
            "type": kind,
            kind: schema_of(kind),
        }
        if kind == "relation":
            own = uid(seed, "data_sources", n)
            told[kind] = {"data_source_id": own, "type": "single_property", "single_property": {}}
        properties[column] = told
    # One database in four holds two data sources.
    database = uid(seed, "databases", n - (n % 5 == 4))
    return {
        **_author(seed),
        "cover": None,
        "icon": {"type": "emoji", "emoji": rng.choice(ICONS)} if n % 3 else None,
        "title": rich_text(
            NASTY[n % len(NASTY)] if n % 10 == 9 else name, bold_from=4 if n % 4 == 1 else None
        ),
        "description": [],
        "is_inline": False,
        "parent": {"type": "database_id", "database_id": database},
        "database_parent": {"type": "workspace", "workspace": True},
        "properties": properties,
        "url": _url(database),
        "public_url": None,
        "is_locked": False,
    }


def page(seed: int, sources: list[SandboxRow], n: int, id_: str) -> Json:
    """Return a page's body: a row of one of ``sources`` or, one time in four, a standalone page."""
    rng = Random(f"{seed}:pages:{n}")
    words = f"{rng.choice(ADJECTIVES).title()} {rng.choice(NOUNS)} {rng.choice(PLACES)}"
    title = NASTY[n // 25 % len(NASTY)] if n % 25 == 7 else words
    titled = {
        "id": "title",
        "type": "title",
        "title": rich_text(title, bold_from=5 if n % 9 == 4 else None),
    }
    row = bool(sources) and n % 4 != 3
    if row:
        # The first data source gets nearly half of the rows, so that at least one has several
        # pages.
        source = sources[int(shared_count(len(sources)) * rng.random() ** 3)]
        parent, properties = _row_of(source, titled, rng)
    else:
        parent, properties = _loose_parent(seed, n), {"title": titled}
    show = {
        **_author(seed),
        "cover": None,
        "icon": {"type": "emoji", "emoji": rng.choice(ICONS)} if n % 3 else None,
        "parent": parent,
        "is_locked": False,
        "properties": properties,
        "url": _url(id_),
        "public_url": None,
    }
    return {"show": show, "hidden": row and (n - n // 4) % HIDDEN_EVERY == HIDDEN_EVERY - 1}


def with_references(rows: Rows, row: SandboxRow, count: int) -> SandboxRow:
    """Return a page with ``count`` references in each kind of property that Notion cuts off."""
    more = [uid(0, row.id, n) for n in range(count)]
    pages, people = [[*rows[kind], *more][:count] for kind in ("pages", "users")]
    numbers = [{"type": "number", "number": n} for n in range(count)]
    log: list[Json] = []
    for n in range(count):
        log += rich_text(f"Line {n}. ")
    values: dict[str, tuple[str, object]] = {
        RELATED: ("relation", [{"id": id_} for id_ in pages]),
        "Watchers": ("people", [person(id_) for id_ in people]),
        "Log": ("rich_text", log),
        "How many": ("rollup", {"type": "number", "number": count, "function": "count"}),
        "Numbers": ("rollup", {"type": "array", "array": numbers, "function": "show_original"}),
    }
    show = row.body["show"]
    properties = dict(show["properties"])
    for name, (kind, value_) in values.items():
        properties[name] = {"id": property_id(name), "type": kind, kind: value_}
    return replace(row, body={**row.body, "show": {**show, "properties": properties}})


def _row_of(source: SandboxRow, titled: Json, rng: Random) -> tuple[Json, Json]:
    about = source.body["show"]
    parent = {
        "type": "data_source_id",
        "data_source_id": source.id,
        "database_id": about["parent"]["database_id"],
    }
    properties = {}
    for name, told in about["properties"].items():
        kind = told["type"]
        properties[name] = (
            titled if kind == "title" else {"id": told["id"], "type": kind, kind: value(kind, rng)}
        )
    return parent, properties


def _loose_parent(seed: int, n: int) -> Json:
    if n % 3 == 0 or n == 0:
        return {"type": "workspace", "workspace": True}
    if n % 7 == 5:
        return {"type": "block_id", "block_id": uid(seed, "blocks", n)}
    return {"type": "page_id", "page_id": uid(seed, "pages", n // 2)}


def _author(seed: int) -> Json:
    by = person(uid(seed, "users", 0))
    return {"created_by": by, "last_edited_by": by}


def _url(id_: str) -> str:
    return f"https://app.notion.com/p/{id_.replace('-', '')}"
