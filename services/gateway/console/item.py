"""One item in full: its facts, and its raw JSON cut into coloured pieces that cannot mislead the eye."""

from __future__ import annotations

import json
import re

import msgspec

from services.gateway.console.table import web_address
from services.gateway.console.words import Moment, day, number
from services.gateway.settings import Offered
from services.gateway.store.stored import StoredItem

COLOURED = 200_000
"""Characters of JSON up to which pieces are coloured; more would be slow to draw."""
PIECES = re.compile(
    r'(?P<name>"(?:[^"\\]|\\.)*"(?=:))|(?P<text>"(?:[^"\\]|\\.)*")'
    r"|(?P<number>-?\d[\d.eE+-]*)|(?P<word>true|false|null)|(?P<rest>[^\"\d\-tfn]+|.)"
)
INVISIBLE = re.compile("[\u0080-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
"""Characters that draw nothing, or turn the direction of what follows."""


class Piece(msgspec.Struct, frozen=True):
    kind: str
    text: str


class ItemView(msgspec.Struct, frozen=True, kw_only=True):
    """``missing`` says why there is no raw JSON, when there is none."""

    name: str
    id: str
    provider: str
    kind: str
    connection: str
    parent: str | None
    url: str | None
    created: Moment | None
    modified: Moment | None
    updated: Moment | None
    pieces: tuple[Piece, ...]
    missing: str | None
    api: str


def item_view(item: StoredItem, offered: Offered | None, *, api: str) -> ItemView:
    resource = offered.provider.resource(item.resource) if offered else None
    raw = item.raw or b"null"
    empty = raw == b"null"
    return ItemView(
        name=item.name,
        id=item.id,
        provider=offered.provider.name if offered else item.provider,
        kind=resource.label if resource else item.resource,
        connection=item.connection,
        parent=item.parent_id,
        url=web_address(item.url),
        created=day(item.created),
        modified=day(item.modified),
        updated=day(item.updated),
        pieces=() if empty else pieces(raw),
        missing=_why_missing(item.raw_bytes) if empty else None,
        api=api,
    )


def pieces(raw: bytes) -> tuple[Piece, ...]:
    """The JSON indented, with what cannot be seen written as its escape."""
    try:
        readable = json.dumps(json.loads(raw), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        readable = raw.decode("utf-8", "replace")
    shown = INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", readable)
    if len(shown) > COLOURED:
        return (Piece("rest", shown),)
    return tuple(Piece(found.lastgroup or "rest", found[0]) for found in PIECES.finditer(shown))


def _why_missing(size: int | None) -> str:
    if size:
        return f"It is {number(size)} bytes long: too large to travel. Open it at the provider."
    return "The provider gave no raw data for it."
