"""Leave entries out of a provider's lists, as real ones do: with status 200 and no hint of it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from hashlib import blake2b
from typing import Any, Final

import msgspec
from litestar.types import ASGIApp, Message, Receive, Scope, Send

WHOLE: Final = 1 << 64


async def answer_short(
    app: ASGIApp,
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    keep: float,
    seed: int,
    leave_out: Collection[str] = (),
) -> None:
    """Answer as ``app`` does, but with only the share ``keep`` of each list's entries.

    The same seed leaves out the same entries; those with the ids ``leave_out`` are left out in any
    case. Cursors, totals and everything else stay as they are.
    """

    def stays(entry: Any) -> bool:
        id_ = entry.get("id") if isinstance(entry, dict) else entry
        if not isinstance(id_, str):
            return True
        drawn = blake2b(f"{seed}/{id_}".encode(), digest_size=8).digest()
        return id_ not in leave_out and int.from_bytes(drawn) < keep * WHOLE

    start: Any = None
    body = b""

    async def caught(message: Message) -> None:
        nonlocal start, body
        if message["type"] == "http.response.start":
            start = message
        elif message["type"] == "http.response.body":
            body += message["body"]
            if not message["more_body"]:
                short = _short(body, stays) if start["status"] < 300 else body
                kept = [one for one in start["headers"] if one[0].lower() != b"content-length"]
                headers = [*kept, (b"content-length", str(len(short)).encode())]
                start["headers"] = headers
                await send(start)
                await send({"type": "http.response.body", "body": short, "more_body": False})

    await app(scope, receive, caught)


def _short(body: bytes, stays: Callable[[Any], bool]) -> bytes:
    try:
        answer = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return body
    if not isinstance(answer, dict):
        return body
    for name, value in answer.items():
        if isinstance(value, list):
            answer[name] = list(filter(stays, value))
    return msgspec.json.encode(answer)
