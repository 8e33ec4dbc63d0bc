"""Serve as a hostile provider: pass requests on to the sandbox, but answer some lists ourselves."""

from __future__ import annotations

import gzip
import http.client
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from typing_extensions import override

MIB = 1 << 20
GIB = 1 << 30
HOP = {"connection", "transfer-encoding", "content-length", "host", "keep-alive"}
Answer = Callable[[BaseHTTPRequestHandler], None]


def bomb(handler: BaseHTTPRequestHandler) -> None:
    """Return about a megabyte that inflates to a gibibyte."""
    body = BOMB
    _head(handler, ("Content-Encoding", "gzip"), ("Content-Length", str(len(body))))
    handler.wfile.write(body)


def deep(handler: BaseHTTPRequestHandler) -> None:
    body = b'{"results":' + b"[" * 10_000 + b"]" * 10_000 + b"}"
    _head(handler, ("Content-Length", str(len(body))))
    handler.wfile.write(body)


def large(handler: BaseHTTPRequestHandler) -> None:
    """Return a page of 50 MB, valid JSON."""
    _head(handler, ("Content-Length", str(50 * MIB + 30)))
    handler.wfile.write(b'{"results":[{"id":"1","note":"')
    for _ in range(50):
        handler.wfile.write(b"x" * MIB)


def endless(handler: BaseHTTPRequestHandler) -> None:
    """Yield chunks for as long as somebody takes them."""
    _head(handler, ("Transfer-Encoding", "chunked"))
    chunk = b"%x\r\n" % MIB + b" " * MIB + b"\r\n"
    while True:
        handler.wfile.write(chunk)


ANSWERS: dict[str, Answer] = {"bomb": bomb, "deep": deep, "large": large, "endless": endless}


def _head(handler: BaseHTTPRequestHandler, *headers: tuple[str, str]) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    for name, value in headers:
        handler.send_header(name, value)
    handler.end_headers()


def _bomb() -> bytes:
    packed = gzip.compress(b" " * MIB, 9)
    return packed * (GIB // MIB)


BOMB = _bomb()


@contextmanager
def hostile(sandbox: int, answer: Answer, *, where: str) -> Iterator[str]:
    """Yield its URL; lists whose path has ``where`` in it get ``answer``."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(sandbox, answer, where))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def _handler(sandbox: int, answer: Answer, where: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if where not in self.path:
                _pass_on(self, sandbox)
                return
            self.close_connection = True
            with suppress(OSError):
                answer(self)

        def do_POST(self) -> None:
            _pass_on(self, sandbox)

        @override
        def log_message(self, format: str, *args: object) -> None:
            """Log nothing: nobody reads it."""

    return Handler


def _pass_on(handler: BaseHTTPRequestHandler, sandbox: int) -> None:
    body = handler.rfile.read(int(handler.headers.get("content-length", 0)))
    with closing(http.client.HTTPConnection("127.0.0.1", sandbox, timeout=30)) as there:
        there.request(handler.command, handler.path, body, dict(_kept(handler.headers.items())))
        reply = there.getresponse()
        data = reply.read()
    # Who asked may have gone: a page that fails cuts off the count beside it.
    with suppress(OSError):
        handler.send_response(reply.status)
        for name, value in _kept(reply.getheaders()):
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)


def _kept(headers: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Return the headers that are not about one connection alone."""
    return ((name, value) for name, value in headers if name.lower() not in HOP)
