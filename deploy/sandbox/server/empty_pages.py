"""Put empty pages with new cursors into a provider's lists.

The cursor of an empty page leads to the page that was asked for. It is translated on the way to the
provider, which therefore still checks that a cursor comes with the query that it was given for.
"""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from litestar.types import Receive, Scope

from deploy.sandbox.server.lies import Change
from deploy.sandbox.world import InsertedCursor, Pages, World, link_with, query_with


async def translated(world: World, scope: Scope, receive: Receive) -> tuple[Scope, Receive]:
    """Return the call with the provider's own cursor in place of an empty page's."""
    if not world.inserted or not isinstance(world.simulated, Pages):
        return scope, receive
    name = world.simulated.cursor
    asked, receive = await _asked(scope, receive)
    found = world.inserted.get(str(asked.get(name)))
    if found is None:
        return scope, receive
    if scope.get("method") != "GET":
        body = {**asked, name: found.before}
        if found.before is None:
            del body[name]
        return scope, _replayed(msgspec.json.encode(body), receive)
    inner = scope.copy()
    before = None if found.before is None else str(found.before)
    inner["query_string"] = query_with(scope, name, before).encode()
    return inner, receive


async def before_page(
    world: World, pages: Pages, scope: Scope, receive: Receive
) -> tuple[Change, Receive]:
    """Return the change that puts an empty page before the one asked for, and the call's body."""
    asked, receive = await _asked(scope, receive)
    cursor = f"{secrets.randbelow(10**18):018}"
    link = link_with(scope, pages.cursor, cursor) if scope.get("method") == "GET" else None

    def change(answer: dict[str, Any]) -> dict[str, Any]:
        page = pages.emptied(answer, cursor, link)
        if page is None:
            return answer
        world.inserted[cursor] = InsertedCursor(before=asked.get(pages.cursor))
        return page

    return change, receive


async def _asked(scope: Scope, receive: Receive) -> tuple[dict[str, Any], Receive]:
    """Return what a call's query or JSON body holds, and the body to be read again."""
    if scope.get("method") == "GET":
        return dict(parse_qsl(scope["query_string"].decode("latin-1"))), receive
    body = await _body(receive)
    try:
        return msgspec.json.decode(body, type=dict[str, Any]), _replayed(body, receive)
    except msgspec.DecodeError:
        return {}, _replayed(body, receive)


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    more = True
    while more:
        message: Any = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Any:
        return left.pop() if left else await receive()

    return replay
