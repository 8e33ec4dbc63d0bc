"""Provide the default transport of ``HttpClient``."""

from __future__ import annotations

import functools
import ssl
from collections.abc import AsyncIterator
from typing import Final, final

import httpcore
import httpx
from typing_extensions import override

from shared.http.wire import Network

_IDLE_S: Final = 4.0
"""Shorter than the 5 s after which uvicorn and others close an idle connection: a request sent into
a closing connection is lost."""


@final
class PooledTransport(httpx.AsyncBaseTransport):
    """Use httpcore's pool on our own sockets, without a limit of its own.

    A few timeouts in its queue would block the pool for ever.
    """

    def __init__(self, idle: int, tls: ssl.SSLContext | None = None) -> None:
        self._idle = idle
        self._tls = tls
        self._pools: dict[bool, httpcore.AsyncConnectionPool] = {}

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        answer = await self._pool(secure=url.scheme == "https").handle_async_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
                ),
                headers=request.headers.raw,
                content=request.content,
            )
        )
        return httpx.Response(
            status_code=answer.status, headers=answer.headers, stream=_Stream(answer)
        )

    @override
    async def aclose(self) -> None:
        for pool in self._pools.values():
            await pool.aclose()

    def _pool(self, *, secure: bool) -> httpcore.AsyncConnectionPool:
        if secure not in self._pools:
            self._pools[secure] = httpcore.AsyncConnectionPool(
                ssl_context=(self._tls or _trusted()) if secure else None,
                max_connections=None,
                max_keepalive_connections=self._idle,
                keepalive_expiry=_IDLE_S,
                network_backend=Network(),
            )
        return self._pools[secure]


@final
class _Stream(httpx.AsyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    @override
    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._answer.aiter_stream()

    @override
    async def aclose(self) -> None:
        await self._answer.aclose()


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Return the system's trust store, read once: that costs some 60 ms of CPU."""
    return httpx.create_ssl_context(trust_env=False)
