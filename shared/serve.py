"""Serve several HTTP apps in one event loop, each started and stopped on command."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final
from urllib.parse import unquote

import uvicorn
from typing_extensions import override

from shared.errors import TributaryError
from shared.exit_codes import Misuse, Refusal
from shared.obstacles import obstacle
from shared.transient import is_transient

GRACE_S: Final = 2
KEEP_ALIVE_S: Final = 75
"""An idle connection stays open for longer than clients keep one (httpx 5 s, nginx 60 s), so that
they close first. A request that is sent while the server closes is lost."""


class PortBusy(Misuse):
    """Ports are in use; the message names each, and the setting that changes it."""

    def __init__(self, *busy: tuple[int, str, str]) -> None:
        """``busy`` is the number, what should listen there, and the setting, of each port."""
        self.busy = busy
        ports = _listed([f"{port} ({what})" for port, what, _ in busy])
        settings = _listed([setting for _, _, setting in busy])
        super().__init__(
            f"Port {ports} is busy: stop what uses it, or choose another with {settings}."
            if len(busy) == 1
            else f"Ports {ports} are busy: stop what uses them, or choose others with {settings}."
        )


def _listed(words: list[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def bind(port: int, *, what: str, setting: str, host: str = "127.0.0.1") -> list[socket.socket]:
    """Take the port without listening yet.

    ``localhost`` means 127.0.0.1, and ::1 if the machine has it.
    """
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
        raise PortBusy((port, what, setting)) from None
    return taken


def _bound_if_there(address: str, port: int) -> list[socket.socket]:
    try:
        return [_bound(socket.AF_INET6, address, port)]
    except OSError as error:
        if error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
            return []
        raise


def _bound(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    # asyncio sets TCP_NODELAY only on sockets whose protocol is named.
    one = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        one.bind((address, port))
    except OSError:
        one.close()
        raise
    return one


class StartFailed(Refusal):
    """A service could not open what it needs; the message says which and why.

    ``passing``: what it needs is only away for now.
    """

    def __init__(self, reason: str, *, passing: bool = False) -> None:
        super().__init__(reason)
        self.passing = passing


class Served:
    """One server: ``start`` returns when it answers, ``stop`` when its app has closed."""

    def __init__(self, name: str, app: Any, sockets: list[socket.socket]) -> None:
        self.name = name
        self._sockets = sockets
        self._opening = _Opening(app)
        self._server = _Unsignalled(
            uvicorn.Config(
                self._opening,
                lifespan="on",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                # Anybody on this machine could claim to be somebody else.
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        # Adding it once more changes nothing.
        logging.getLogger("uvicorn.error").addFilter(_WITHOUT_FAILED_START)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when it answers.

        Raises ``StartFailed`` with the service's own words if it has any, else with what went
        wrong.
        """
        self._task = asyncio.create_task(self._serve(), name=f"{self.name} server")
        while not self._server.started:
            if self._task.done():
                await self._task
                reason, passing = self._opening.reason()
                raise StartFailed(
                    f"{self.name} did not start: {reason}", passing=passing
                ) from self._opening.failure
            await asyncio.sleep(0.005)

    async def _serve(self) -> None:
        # uvicorn ends a failed start with SystemExit, which would end the event loop before the
        # other servers are closed.
        with suppress(SystemExit):
            await self._server.serve(sockets=self._sockets)

    async def stop(self) -> None:
        self._server.should_exit = True
        if self._task is not None:
            await self._task


class _WithoutFailedStart(logging.Filter):
    """Drop the line that uvicorn writes when a start has failed: ``StartFailed`` says why."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("Application startup failed")


_WITHOUT_FAILED_START: Final = _WithoutFailedStart()


class _Opening:
    """Keep the error that an app's start fails with.

    uvicorn would only log it, as a page of traceback.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self.failure: BaseException | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await self._app(in_origin_form(scope), receive, send)
            return

        async def quietly(message: Any) -> None:
            await send(
                {**message, "message": ""} if message["type"].endswith(".failed") else message
            )

        try:
            await self._app(scope, receive, quietly)
        except Exception as error:
            self.failure = error
            raise

    def reason(self) -> tuple[str, bool]:
        """Return why the app did not start, and whether it is only that something is away."""
        away = _away(self.failure)
        if away is None:
            return _words(self.failure) or "the log says why", False
        said = obstacle(away)
        if said is not None:
            return said, False
        # After its first line a database's error shows the statement and its parameters.
        told = str(away).partition("\n")[0]
        return f"what it needs does not answer: {told}", True


def in_origin_form(scope: Any) -> Any:
    """Return the scope of a request whose target may be a whole URL, as clients send it to proxies.

    Its host then replaces the Host header (RFC 9112 §3.2.2). Only the path is left in the scope.
    """
    target: bytes = scope.get("raw_path") or b""
    scheme, found, rest = target.partition(b"://")
    if not found or scheme.lower() not in {b"http", b"https"}:
        return scope
    authority, slash, path = rest.partition(b"/")
    raw_path = slash + path or b"/"
    others = [one for one in scope["headers"] if one[0] != b"host"]
    return {
        **scope,
        "raw_path": raw_path,
        "path": unquote(raw_path.decode("ascii")),
        "headers": [(b"host", authority), *others],
    }


def _words(error: BaseException | None) -> str | None:
    """Return the detail of the first ``TributaryError`` in a failure, however deeply wrapped."""
    if error is None or isinstance(error, TributaryError):
        return error.detail if error else None
    inner = [
        *(error.exceptions if isinstance(error, BaseExceptionGroup) else []),
        error.__cause__,
        error.__context__,
    ]
    return next((words for one in inner if (words := _words(one))), None)


def _away(error: BaseException | None) -> BaseException | None:
    """Return the fault of an absent database or Kafka in a failure, however deeply wrapped."""
    if error is None or isinstance(error, TributaryError):
        return None
    if is_transient(error):
        return error
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else []
    return next((found for one in inner if (found := _away(one))), None)


class _Unsignalled(uvicorn.Server):
    """Leave signals to the whole stack, which stops its servers in order."""

    @contextmanager
    @override
    def capture_signals(self) -> Iterator[None]:
        yield
