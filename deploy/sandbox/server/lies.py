"""Change a provider's answers as real ones go wrong: with status 200 and no hint of it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import msgspec
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from deploy.sandbox.world import drawn

Change = Callable[[dict[str, Any]], dict[str, Any]]


async def answer_changed(
    app: ASGIApp, scope: Scope, receive: Receive, send: Send, change: Change
) -> None:
    """Answer as ``app`` does, but with ``change`` made to the JSON object of a good answer."""
    start: Any = None
    body = b""

    async def caught(message: Message) -> None:
        nonlocal start, body
        if message["type"] == "http.response.start":
            start = message
        elif message["type"] == "http.response.body":
            body += message["body"]
            if not message["more_body"]:
                changed = _changed(body, change) if start["status"] < 300 else body
                kept = [one for one in start["headers"] if one[0].lower() != b"content-length"]
                headers = [*kept, (b"content-length", str(len(changed)).encode())]
                start["headers"] = headers
                await send(start)
                await send({"type": "http.response.body", "body": changed, "more_body": False})

    await app(scope, receive, caught)


def shortened(keep: float, seed: int, leave_out: Collection[str] = ()) -> Change:
    """Leave only the share ``keep`` of each list's entries; the same seed leaves the same ones.

    An entry without an id is known by its name. Those in ``leave_out`` are left out in any case.
    Cursors, totals and everything else stay as they are.
    """

    def stays(entry: Any) -> bool:
        id_ = entry.get("id", entry.get("name")) if isinstance(entry, dict) else entry
        if not isinstance(id_, str):
            return True
        return id_ not in leave_out and drawn(id_, seed=seed, share=keep)

    def change(answer: dict[str, Any]) -> dict[str, Any]:
        for name, value in answer.items():
            if isinstance(value, list):
                answer[name] = list(filter(stays, value))
        return answer

    return change


def _changed(body: bytes, change: Change) -> bytes:
    try:
        answer = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return body
    return msgspec.json.encode(change(answer)) if isinstance(answer, dict) else body
