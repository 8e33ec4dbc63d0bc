"""The items of the console: the table with its links, and one item in full."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec

from services.gateway.connections.queries import StaleResource
from services.gateway.console.formatting import Moment, day, number
from services.gateway.items.queries import ItemKey, SyncedItem, raw_json
from services.gateway.settings import ConfiguredProvider

LONGEST: Final = 200

ROWS: Final = 25
LONGEST_TRAIL: Final = 40
"""The most pages back that links remember: an address must stay short enough for every proxy."""
START: Final = "-"
"""The first page in a trail: no item comes before it."""
FIRST: Final[dict[str, Any]] = {"after": "", "trail": (), "page": 1}
COLOURED: Final = 200_000
"""The longest JSON, in characters, that is coloured. Longer text would be slow to draw."""
PIECES: Final = re.compile(
    r'(?P<name>"(?:[^"\\]|\\.)*"(?=:))|(?P<text>"(?:[^"\\]|\\.)*")'
    r"|(?P<number>-?\d[\d.eE+-]*)|(?P<word>true|false|null)|(?P<rest>[^\"\d\-tfn]+|.)"
)
INVISIBLE: Final = re.compile(
    "[\u0080-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)
"""Characters that are invisible, or change the direction of the text after them."""


def table_query(query_params: Mapping[str, str]) -> TableQuery:
    given = {name: value.replace("\0", "") for name, value in query_params.items()}
    page = given.get("page", "1")
    after = given.get("after", "")
    return TableQuery(
        q=given.get("q", "").strip()[:LONGEST],
        provider=given.get("provider", ""),
        resource=given.get("resource", ""),
        after=after,
        trail=tuple(given.get("trail", "").split()) if after else (),
        page=int(page) if after and page.isascii() and page.isdigit() and len(page) < 7 else 1,
        hidden=given.get("view") == "hidden",
    )


class TableQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The table's address.

    ``trail`` holds the start of each earlier page, the newest last; ``hidden`` shows no rows.
    """

    q: str = ""
    provider: str = ""
    resource: str = ""
    after: str = ""
    trail: tuple[str, ...] = ()
    page: int = 1
    hidden: bool = False

    def link(self, **change: Any) -> str:
        """Return the query string of this table with some fields changed."""
        one = msgspec.structs.replace(self, **change)
        fields = {
            "q": one.q,
            "provider": one.provider,
            "resource": one.resource,
            "after": one.after,
        }
        fields |= {"trail": " ".join(one.trail), "page": str(one.page) if one.page > 1 else ""}
        fields["view"] = "hidden" if one.hidden else ""
        return "?" + urlencode({name: value for name, value in fields.items() if value})


class Chip(msgspec.Struct, frozen=True, kw_only=True):
    """A filter of the table; ``count`` is empty while a search is on, which it would not know."""

    label: str
    count: str
    query: str
    chosen: bool


class ItemRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table.

    ``href`` is our own page of the item; ``url`` is its page at the provider, if that is a web
    address.
    """

    href: str
    name: str
    provider: str
    mark: str
    kind: str
    parent: str | None
    created_at: Moment | None
    modified_at: Moment | None
    url: str | None


class ItemTable(msgspec.Struct, frozen=True, kw_only=True):
    """The table. ``nested``: some row has a parent, so the column for parents is shown."""

    query: TableQuery
    rows: tuple[ItemRow, ...]
    nested: bool
    providers: tuple[Chip, ...]
    resources: tuple[Chip, ...]
    span: str
    previous: str | None
    following: str | None
    connected: bool


def row(
    item: SyncedItem, configured: ConfiguredProvider | None, *, mark: str, parent: str | None
) -> ItemRow:
    resource = configured.provider.resource(item.resource) if configured else None
    return ItemRow(
        href="/console/items/" + "/".join(quote(part, safe="/") for part in item.key),
        name=item.name,
        provider=configured.provider.name if configured else item.provider,
        mark=mark,
        kind=resource.label if resource else item.resource,
        parent=parent,
        created_at=day(item.created_at),
        modified_at=day(item.modified_at),
        url=item.url,
    )


def start(item: SyncedItem) -> str:
    """Return an item's name in the address of the page after it."""
    return "/".join(item.key)


def split(after: str) -> ItemKey | None:
    parts = after.split("/", 2)
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 else None


def paged(query: TableQuery, found: Sequence[SyncedItem]) -> tuple[str | None, str | None]:
    """Return links to the previous and the next page.

    ``found`` has one row more than a page when there is a next one.
    """
    before = None
    if query.page > 1 and query.trail:
        came = "" if query.trail[-1] == START else query.trail[-1]
        before = query.link(after=came, trail=query.trail[:-1], page=query.page - 1)
    elif query.page > 1:
        before = query.link(**FIRST)
    if len(found) <= ROWS:
        return before, None
    trail = (*query.trail, query.after or START)[-LONGEST_TRAIL:]
    return before, query.link(after=start(found[ROWS - 1]), trail=trail, page=query.page + 1)


def span(query: TableQuery, shown: int, total: int | None) -> str:
    """Return the range of rows in words; ``total`` is None when nobody has counted them."""
    if not shown:
        return "No items"
    first = (query.page - 1) * ROWS + 1
    words = f"{number(first)}\N{EN DASH}{number(first + shown - 1)}"
    return words if total is None else f"{words} of {number(total)}"


class Piece(msgspec.Struct, frozen=True):
    kind: str
    text: str


class ItemDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One item in full.

    ``missing`` says why it has no raw JSON, if it has none; ``truncated`` names the fields of it
    that are not complete. ``stale`` says why its resource could not be read completely,
    ``complete`` when it last was.
    """

    name: str
    id: str
    provider: str
    kind: str
    connection_id: str
    parent: str | None
    url: str | None
    created_at: Moment | None
    modified_at: Moment | None
    synced_at: Moment | None
    pieces: tuple[Piece, ...]
    missing: str | None
    truncated: tuple[str, ...]
    api: str
    stale: str | None = None
    complete: Moment | None = None


def item_detail(
    item: SyncedItem,
    configured: ConfiguredProvider | None,
    *,
    api: str,
    stale: StaleResource | None = None,
) -> ItemDetail:
    resource = configured.provider.resource(item.resource) if configured else None
    raw = raw_json(item)
    empty = raw == b"null"
    return ItemDetail(
        name=item.name,
        id=item.id,
        provider=configured.provider.name if configured else item.provider,
        kind=resource.label if resource else item.resource,
        connection_id=item.connection_id,
        parent=item.parent_id,
        url=item.url,
        created_at=day(item.created_at),
        modified_at=day(item.modified_at),
        synced_at=day(item.synced_at),
        pieces=() if empty else pieces(raw),
        missing=_why_missing(item.raw_bytes) if empty else None,
        truncated=item.truncated,
        api=api,
        stale=stale.detail if stale else None,
        complete=day(stale.stale_since) if stale else None,
    )


def pieces(raw: bytes) -> tuple[Piece, ...]:
    """Return the JSON indented, with invisible characters as escapes."""
    try:
        readable = json.dumps(json.loads(raw), indent=2, ensure_ascii=False)
    # A record may be nested more deeply than Python's parser can go.
    except (ValueError, RecursionError):
        readable = raw.decode("utf-8", "replace")
    shown = INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", readable)
    if len(shown) > COLOURED:
        return (Piece("rest", shown),)
    return tuple(Piece(found.lastgroup or "rest", found[0]) for found in PIECES.finditer(shown))


def _why_missing(size: int | None) -> str:
    if size:
        return (
            f"It is {number(size)} bytes long, which is too large to store. Open it at the "
            "provider."
        )
    return "The provider gave no raw data for it."
