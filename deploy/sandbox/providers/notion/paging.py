"""Page through listings: cursors survive a restart, some pages are short or empty, 10,000 at most.

A cursor holds the last key that was returned, signed. So nothing has to be stored, and rows that
come or go during a walk do not shift any other row.
"""

from __future__ import annotations

import base64
import hmac
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final

import msgspec

from deploy.sandbox.providers.notion.request import SandboxRequest
from deploy.sandbox.providers.notion.responses import ErrorResponse, invalid
from deploy.sandbox.providers.notion.values import Json
from deploy.sandbox.world import World

LARGEST_PAGE: Final = 100
MOST_RESULTS: Final = 10_000
CURSOR_LIFETIME_S: Final = 3600.0
SHORT_EVERY: Final = 5
EMPTY_EVERY: Final = 7

Key = tuple[str, str]
"""The sort value, and the id."""


class CursorPosition(msgspec.Struct, frozen=True, array_like=True):
    """Hold a position in a listing.

    ``query`` is a digest of the request: a cursor works only with the query it came from. ``page``
    counts from 0.
    """

    query: str
    issued: float
    page: int = 0
    given: int = 0
    after: Key | None = None


class ListingPage(msgspec.Struct, frozen=True):
    """Hold one page: its ids, the cursor of the next one, and whether the rest is out of reach."""

    ids: list[str]
    cursor: str | None
    capped: bool = False


def listing(cut: ListingPage, results: list[Json], kind: str) -> Json:
    """Return Notion's list envelope, with ``request_status`` only when the results are cut off."""
    told: Json = {
        "object": "list",
        "results": results,
        "next_cursor": cut.cursor,
        "has_more": cut.cursor is not None,
    }
    if cut.capped:
        told["request_status"] = {
            "type": "incomplete",
            "incomplete_reason": "query_result_limit_reached",
        }
    return {**told, "type": kind, kind: {}}


def cut(
    request: SandboxRequest,
    keys: list[Key],
    *,
    query: Json,
    descending: bool = False,
    keep: Callable[[str], bool] | None = None,
    most: int | None = None,
) -> ListingPage:
    """Return the requested page of the ids in ``keys`` (ascending) that pass ``keep``."""
    digest = blake2b(
        msgspec.json.encode([request.account, query], order="deterministic"), digest_size=8
    ).hexdigest()
    position = _position(request, digest)
    size = _size(request)
    if position.page % EMPTY_EVERY == EMPTY_EVERY - 4:
        size = 0
    elif position.page % SHORT_EVERY == SHORT_EVERY - 3:
        size = max(1, size // 2)
    limit = size if most is None else min(size, most - position.given)
    found = _from(keys, position.after, limit + 1, descending=descending, keep=keep)
    here, more = found[:limit], len(found) > limit
    given = position.given + len(here)
    if not more or given == most:
        return ListingPage([id_ for _, id_ in here], None, capped=more)
    following = CursorPosition(
        digest,
        request.world.clock.now(),
        position.page + 1,
        given,
        here[-1] if here else position.after,
    )
    return ListingPage([id_ for _, id_ in here], _signed(request.world, following))


def _from(
    keys: list[Key],
    after: Key | None,
    count: int,
    *,
    descending: bool,
    keep: Callable[[str], bool] | None,
) -> list[Key]:
    if descending:
        end = len(keys) if after is None else bisect_left(keys, after)
        order = range(end - 1, -1, -1)
    else:
        order = range(0 if after is None else bisect_right(keys, after), len(keys))
    found: list[Key] = []
    for n in order:
        if keep is None or keep(keys[n][1]):
            found.append(keys[n])
            if len(found) == count:
                break
    return found


def _given(request: SandboxRequest, name: str) -> Any:
    return (
        request.body.get(name) if request.method == "POST" else request.query.get(name, [None])[0]
    )


def _size(request: SandboxRequest) -> int:
    size: Any = _given(request, "page_size")
    if isinstance(size, str) and size.isascii() and size.isdigit():
        size = int(size[:9])
    if size is None:
        return LARGEST_PAGE
    if type(size) is not int:
        raise invalid("body failed validation: body.page_size should be a number.")
    if not 1 <= size <= LARGEST_PAGE:
        bound = "≥ `1`" if size < 1 else f"≤ `{LARGEST_PAGE}`"
        raise invalid(
            f"body failed validation: body.page_size should be {bound}, instead was `{size}`."
        )
    return size


def _position(request: SandboxRequest, digest: str) -> CursorPosition:
    cursor = _given(request, "start_cursor")
    if cursor is None:
        return CursorPosition(digest, request.world.clock.now())
    position = _opened(request.world, cursor) if isinstance(cursor, str) else None
    if position is None or position.query != digest:
        raise _bad_cursor(str(cursor)[:80])
    if request.world.clock.now() - position.issued > CURSOR_LIFETIME_S:
        raise _bad_cursor(cursor[:80])
    return position


def _bad_cursor(cursor: str) -> ErrorResponse:
    return invalid(f"The start_cursor provided is invalid: {cursor}")


def _signature(world: World, raw: bytes) -> bytes:
    return hmac.digest(world.client.secret.encode(), b"cursor:" + raw, "sha256")[:9]


def _signed(world: World, position: CursorPosition) -> str:
    raw = msgspec.json.encode(position)
    return base64.urlsafe_b64encode(_signature(world, raw) + raw).decode().rstrip("=")


def _opened(world: World, cursor: str) -> CursorPosition | None:
    try:
        signed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        if not hmac.compare_digest(signed[:9], _signature(world, signed[9:])):
            return None
        return msgspec.json.decode(signed[9:], type=CursorPosition)
    except (ValueError, UnicodeEncodeError):
        return None
