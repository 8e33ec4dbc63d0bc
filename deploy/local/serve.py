"""Several HTTP servers in one event loop, each started when told and stopped in turn."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from typing_extensions import override

GRACE_S = 2


class PortBusy(Exception):
    """Says which port of what is busy, and the setting that changes it."""

    def __init__(self, port: int, what: str, setting: str) -> None:
        super().__init__(f"Port {port} ({what}) is busy: stop what uses it, or choose another with {setting}.")


def bind(port: int, *, what: str, setting: str, host: str = "127.0.0.1") -> list[socket.socket]:
    """Take the port without listening yet. ``localhost`` is 127.0.0.1, and ::1 where the machine has it."""
    taken: list[socket.socket] = []
    try:
        if host == "localhost":
            taken.append(_bound(socket.AF_INET, "127.0.0.1", port))
            taken.extend(_bound_if_there("::1", port))
        else:
            taken.append(_bound(socket.AF_INET6 if ":" in host else socket.AF_INET, host, port))
    except OSError as error:
        for one in taken:
            one.close()
        if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
            raise
        raise PortBusy(port, what, setting) from None
    return taken


def _bound_if_there(address: str, port: int) -> list[socket.socket]:
    try:
        return [_bound(socket.AF_INET6, address, port)]
    except OSError as error:
        if error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
            return []
        raise


def _bound(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named, so that asyncio sets TCP_NODELAY
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        one.bind((address, port))
    except OSError:
        one.close()
        raise
    return one


class Served:
    """One server: ``start`` returns when it answers, ``stop`` when its app has closed."""

    def __init__(self, name: str, app: Any, sockets: list[socket.socket]) -> None:
        self.name = name
        self._sockets = sockets
        self._server = _Unsignalled(
            uvicorn.Config(
                app,
                lifespan="on",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._server.serve(sockets=self._sockets), name=f"{self.name} server")
        while not self._server.started:
            if self._task.done():
                await self._task
                raise RuntimeError(f"{self.name} did not start; the log above says why")
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        self._server.should_exit = True
        if self._task is not None:
            await self._task


class _Unsignalled(uvicorn.Server):
    """Signals are for the whole stack, which stops its servers in order."""

    @contextmanager
    @override
    def capture_signals(self) -> Iterator[None]:
        yield
