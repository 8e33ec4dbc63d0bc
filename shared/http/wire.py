"""Give httpcore's pool sockets that know the deadline of the request they serve.

A cancelled task leaves connections in httpcore's pool that nobody owns; after a few of them every
later request waits for ever. So nothing above the socket is ever cancelled here. A deadline ends
the current read or write with an ordinary error, and the pool cleans up as after any other error.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import ssl
from collections.abc import Coroutine, Iterable
from contextvars import ContextVar
from typing import Any, Final, TypeVar, final

import httpcore
from typing_extensions import override

CONNECT_S: Final = 10.0

T = TypeVar("T")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@final
class Deadline:
    """Allow ``seconds`` from now for everything a request does. Needs a running loop."""

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.time() + seconds
        self._scope: asyncio.Timeout | None = None

    def expire(self) -> None:
        """End now: the current read or write fails as if its time were over."""
        self._end = self._loop.time()
        if self._scope is not None:
            with contextlib.suppress(RuntimeError):
                self._scope.reschedule(self._end)

    async def within(
        self,
        work: Coroutine[Any, Any, T],
        error: type[httpcore.NetworkError],
        at_most_s: float | None = None,
    ) -> T:
        """Do ``work`` before the deadline.

        Raises ``error`` if the operating system or TLS fails, and its timeout sibling if time is
        up.
        """
        now = self._loop.time()
        if now >= self._end:
            work.close()
            raise _LATE[error]
        try:
            async with asyncio.timeout_at(
                self._end if at_most_s is None else min(self._end, now + at_most_s)
            ) as scope:
                self._scope = scope
                return await work
        except TimeoutError:
            raise _LATE[error] from None
        except OSError as reason:  # ssl.SSLError is one
            raise error(reason.__class__.__name__) from None
        finally:
            self._scope = None


_LATE: Final[dict[type[httpcore.NetworkError], type[httpcore.TimeoutException]]] = {
    httpcore.ConnectError: httpcore.ConnectTimeout,
    httpcore.ReadError: httpcore.ReadTimeout,
    httpcore.WriteError: httpcore.WriteTimeout,
}

current: ContextVar[Deadline] = ContextVar("tributary_http_deadline")


@final
class Wire(httpcore.AsyncNetworkStream):
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @override
    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await current.get().within(self._reader.read(max_bytes), httpcore.ReadError, timeout)

    @override
    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._writer.write(buffer)
        await current.get().within(self._writer.drain(), httpcore.WriteError, timeout)

    @override
    async def aclose(self) -> None:
        """Abort the connection. A peer that does not answer TLS's close would hold us for 30 s."""
        self._writer.transport.abort()

    @override
    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            greeting = self._writer.start_tls(ssl_context, server_hostname=server_hostname)
            await current.get().within(greeting, httpcore.ConnectError, timeout or CONNECT_S)
        except BaseException:
            self._writer.transport.abort()
            raise
        return self

    @override
    def get_extra_info(self, info: str) -> Any:
        """Answer httpcore's questions.

        It asks for ``is_readable`` to learn if the other side has closed an idle connection.
        """
        if info == "is_readable":
            return self._reader.at_eof() or self._writer.is_closing() or self._has_unread_bytes()
        return self._writer.get_extra_info(info)

    def _has_unread_bytes(self) -> bool:
        poll = select.poll()
        poll.register(self._writer.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))


@final
class Network(httpcore.AsyncNetworkBackend):
    def __init__(self) -> None:
        self._dialling: set[asyncio.Task[Streams]] = set()

    @override
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return Wire(
            *await current.get().within(
                self._open(host, port), httpcore.ConnectError, timeout or CONNECT_S
            )
        )

    async def _open(self, host: str, port: int) -> Streams:
        """Connect, and never cancel that.

        asyncio's race of IPv6 and IPv4 loses the winner's socket if it is cancelled.
        """
        dialling = asyncio.get_running_loop().create_task(_dial(host, port))
        self._dialling.add(dialling)
        dialling.add_done_callback(self._dialling.discard)
        try:
            return await asyncio.shield(dialling)
        except asyncio.CancelledError:
            dialling.add_done_callback(_hang_up)
            raise

    @override
    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def _dial(host: str, port: int) -> Streams:
    async with asyncio.timeout(CONNECT_S):
        return await asyncio.open_connection(host, port, happy_eyeballs_delay=0.25)


def _hang_up(dialled: asyncio.Task[Streams]) -> None:
    if not dialled.cancelled() and dialled.exception() is None:
        dialled.result()[1].transport.abort()
