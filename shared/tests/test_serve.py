"""Hold connections open for as long as clients keep them."""

from __future__ import annotations

import time
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import httpx

from tests.support.serving import served_in_thread


async def hello(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


async def _lifespan(receive: Any, send: Any) -> None:
    for _ in range(2):
        await send({"type": f"{(await receive())['type']}.complete"})


def test_a_connection_that_a_client_may_still_use_is_not_closed_by_the_server() -> None:
    """httpx and nginx send a request into it; if we close at that moment, the request is lost."""
    kept_s = httpx.Limits().keepalive_expiry
    assert kept_s is not None
    with (
        served_in_thread(hello) as url,
        closing(HTTPConnection(url.removeprefix("http://"))) as connection,
    ):
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"hello"
        kept = connection.sock
        time.sleep(kept_s + 1)
        connection.request("GET", "/")
        assert (connection.getresponse().read(), connection.sock) == (b"hello", kept)
