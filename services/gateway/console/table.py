"""The items table: what was asked, the page of rows that answers it, and the links to what else can be asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from services.gateway.console.words import Moment, day, number
from services.gateway.settings import Offered
from services.gateway.store.stored import StoredItem

ROWS = 25
LONGEST_TRAIL = 40
"""How many pages back the links remember: an address has to stay short enough for every proxy."""
START = "-"
"""In a trail: the first page, which starts behind no item."""
FIRST: dict[str, Any] = {"after": "", "trail": (), "page": 1}
Key = tuple[str, str, str]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The table's address. ``trail`` holds the start of each earlier page, the newest last; ``cleared`` empties it."""

    q: str = ""
    provider: str = ""
    resource: str = ""
    after: str = ""
    trail: tuple[str, ...] = ()
    page: int = 1
    cleared: bool = False

    def link(self, **change: Any) -> str:
        """The query string of this table with something else in it."""
        one = msgspec.structs.replace(self, **change)
        fields = {"q": one.q, "provider": one.provider, "resource": one.resource, "after": one.after}
        fields |= {"trail": " ".join(one.trail), "page": str(one.page) if one.page > 1 else ""}
        fields["view"] = "cleared" if one.cleared else ""
        return "?" + urlencode({name: value for name, value in fields.items() if value})


class Chip(msgspec.Struct, frozen=True, kw_only=True):
    label: str
    count: str
    query: str
    chosen: bool


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """``href`` is our own page of the item, ``url`` its place at the provider when that is a web address."""

    href: str
    name: str
    provider: str
    mark: str
    kind: str
    parent: str | None
    created: Moment | None
    modified: Moment | None
    url: str | None


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """``nested``: some row lies in another item, so that the column which says so is worth its place."""

    asked: Asked
    rows: tuple[Row, ...]
    nested: bool
    providers: tuple[Chip, ...]
    resources: tuple[Chip, ...]
    span: str
    previous: str | None
    following: str | None
    connected: bool


def web_address(url: str | None) -> str | None:
    """The address if a browser may be sent there: http and https only, so that no item can carry a script."""
    if url is None:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.scheme in {"http", "https"} and parts.netloc else None


def row(item: StoredItem, offered: Offered | None, *, mark: str, parent: str | None) -> Row:
    resource = offered.provider.resource(item.resource) if offered else None
    return Row(
        href="/console/items/" + "/".join(quote(part, safe="/") for part in item.key),
        name=item.name,
        provider=offered.provider.name if offered else item.provider,
        mark=mark,
        kind=resource.label if resource else item.resource,
        parent=parent,
        created=day(item.created),
        modified=day(item.modified),
        url=web_address(item.url),
    )


def start(item: StoredItem) -> str:
    """What the address of a page calls the item before it."""
    return "/".join(item.key)


def split(after: str) -> Key | None:
    parts = after.split("/", 2)
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 else None


def paged(asked: Asked, found: Sequence[StoredItem]) -> tuple[str | None, str | None]:
    """Links to the page before and after this one; ``found`` has one row more than a page when there is a next."""
    before = None
    if asked.page > 1 and asked.trail:
        came = "" if asked.trail[-1] == START else asked.trail[-1]
        before = asked.link(after=came, trail=asked.trail[:-1], page=asked.page - 1)
    elif asked.page > 1:
        before = asked.link(**FIRST)
    if len(found) <= ROWS:
        return before, None
    trail = (*asked.trail, asked.after or START)[-LONGEST_TRAIL:]
    return before, asked.link(after=start(found[ROWS - 1]), trail=trail, page=asked.page + 1)


def span(asked: Asked, shown: int, total: int | None) -> str:
    """Which rows these are, in words; ``total`` is None when nobody has counted them."""
    if not shown:
        return "No items"
    first = (asked.page - 1) * ROWS + 1
    words = f"{number(first)}\N{EN DASH}{number(first + shown - 1)}"
    return words if total is None else f"{words} of {number(total)}"
