"""Hold connections open for as long as clients keep them, and serve every form of target."""

from __future__ import annotations

import json
import time
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import httpx
import pytest

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


async def echo(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    hosts = [value.decode() for name, value in scope["headers"] if name == b"host"]
    told = [scope["path"], scope["raw_path"].decode(), scope["query_string"].decode(), *hosts]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})


@pytest.mark.parametrize(
    ("target", "seen"),
    [
        ("/a%20b?x=1", ["/a b", "/a%20b", "x=1", "listener"]),
        ("http://our.example:81/a%20b?x=1", ["/a b", "/a%20b", "x=1", "our.example:81"]),
        ("HTTPS://our.example", ["/", "/", "", "our.example"]),
        (
            "/http://our.example/a",
            ["/http://our.example/a", "/http://our.example/a", "", "listener"],
        ),
        ("ftp://our.example/a", ["ftp://our.example/a", "ftp://our.example/a", "", "listener"]),
    ],
)
def test_a_target_that_is_a_whole_url_is_served_as_its_path_with_its_host(
    target: str, seen: list[str]
) -> None:
    """Clients that believe a server to be a proxy send such targets (RFC 9112 §3.2.2)."""
    with (
        served_in_thread(echo) as url,
        closing(HTTPConnection(url.removeprefix("http://"))) as connection,
    ):
        connection.putrequest("GET", target, skip_host=True)
        connection.putheader("host", "listener")
        connection.endheaders()
        assert json.loads(connection.getresponse().read()) == seen
