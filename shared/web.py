"""Give every HTTP port of ours what they all have.

Open resources, a check of the Host header, a guard between services, health and metrics.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, Generic, TypeVar, final
from urllib.parse import quote, unquote_to_bytes

import msgspec
from litestar import Controller, Litestar, Response, get
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.routes import HTTPRoute

from shared.errors import TributaryError
from shared.settings import SecretStr
from shared.telemetry import Collector, Scrape, current_request_id
from shared.telemetry.middleware import App, AsgiMessage, AsgiScope, Receive, Send

_HOST: Final = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^:\[\]@/\s]+)(?::\d{1,5})?")
_NOT_REBOUND: Final = re.compile(r"\[[0-9a-f:.]+\]|\d{1,3}(\.\d{1,3}){3}|[a-z0-9_-]+")
LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")
HEALTH: Final = ("/health/live", "/health/ready")
METRICS: Final = "/metrics"
LONGEST_PATH: Final = 256
PROBED: Final = (*HEALTH, METRICS)
"""Answered at an address or a container's name as well: probes and scrapers know no other."""
Checks = Callable[[], Awaitable[Mapping[str, str]]]
"""Return problems: part → the words for it. Empty when ready."""

Resources = TypeVar("Resources")


class OpenResources(Generic[Resources]):
    """Hold what an app has open for the time of its lifespan.

    ``resources`` is None before and after.
    """

    def __init__(
        self, open_resources: Callable[[Litestar], AbstractAsyncContextManager[Resources]]
    ) -> None:
        self._open = open_resources
        self.resources: Resources | None = None

    @asynccontextmanager
    async def lifespan(self, app: Litestar) -> AsyncIterator[None]:
        async with self._open(app) as resources:
            self.resources = resources
            try:
                yield
            finally:
                self.resources = None

    def get(self, name: str) -> Callable[[], Any]:
        """Return a dependency for handlers that hands out the resource of that name."""

        def held() -> Any:
            return getattr(self.resources, name)

        return held


class HostGuard:
    """Answer 421 to requests for a foreign host: DNS rebinding, or a spoofed header.

    Pure ASGI, outside all but the request's context. Metrics and health are also read by address
    and by container name. A rebound name is neither: it is a public name, with a dot in it.
    ``setting`` is the one that adds a name to ``hosts``.
    """

    def __init__(self, app: Any, hosts: Collection[str], *, setting: str = "") -> None:
        self.app = app
        self._hosts = frozenset(host.lower() for host in hosts)
        self._detail = f"This server answers only for {', '.join(sorted(self._hosts))}."
        if setting:
            self._detail += f" To reach it by another name, set {setting} to that address."

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or self._ours(scope):
            await self.app(scope, receive, send)
            return
        problem = {
            "type": "about:blank",
            "title": "Misdirected Request",
            "status": 421,
            "detail": self._detail,
            # A URI reference: https://www.rfc-editor.org/rfc/rfc9457#section-3.1.5
            "instance": quote(scope["path"][:LONGEST_PATH]),
            "code": "wrong_host",
            "request_id": current_request_id(),
            "errors": [],
        }
        body = msgspec.json.encode(problem)
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(body)).encode()),
        ]
        await send({"type": "http.response.start", "status": 421, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    def _ours(self, scope: Any) -> bool:
        host = host_name(scope)
        if host in self._hosts:
            return True
        return scope["path"] in PROBED and _NOT_REBOUND.fullmatch(host) is not None


@final
class Methods:
    """Answer HEAD wherever GET is answered, and list all methods of an address in ``Allow``.

    A HEAD has the headers of the GET and no body; a stream is not begun.
    """

    def __init__(self, app: Litestar) -> None:
        self.app: App = app  # type: ignore[assignment]  # Litestar's types say the same differently
        routes = [route for route in app.routes if isinstance(route, HTTPRoute)]
        self._methods = {route.path_format: frozenset(route.methods) for route in routes}

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        async def send_whole(message: AsgiMessage) -> None:
            starts = message["type"] == "http.response.start"
            if starts and (message["status"] == 405 or scope["method"] == "OPTIONS"):
                headers = [self._whole(scope, *header) for header in message["headers"]]
                message = {**message, "headers": headers}
            await send(message)

        if scope["type"] == "http" and scope["method"] == "HEAD":
            await self._head({**scope, "method": "GET"}, receive, send_whole)
        else:
            await self.app(scope, receive, send_whole)

    async def _head(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        answered = False

        async def send_head(message: AsgiMessage) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        async def receive_until_answered() -> AsgiMessage:
            """Disconnect once the headers are sent.

            A stream runs for as long as somebody reads it, and nobody reads this one.
            """
            return {"type": "http.disconnect"} if answered else await receive()

        await self.app(scope, receive_until_answered, send_head)

    def _whole(self, scope: AsgiScope, name: bytes, value: bytes) -> tuple[bytes, bytes]:
        """Complete an ``Allow`` header.

        Litestar's OPTIONS names only the methods of the first of several routes, and knows no HEAD.
        """
        if name.lower() != b"allow":
            return name, value
        methods = {method.strip() for method in value.decode().split(",")}
        methods |= self._methods.get(scope.get("path_template", ""), frozenset())
        methods |= {"HEAD"} if "GET" in methods else set()
        return name, ", ".join(sorted(methods)).encode()


@final
class OneSegment:
    """Keep an id one segment of the path, though it may contain slashes.

    Servers decode the whole path before anybody looks at its segments, so that ``%2F`` in an id
    would begin another one. Here the id is encoded again, and its handler decodes it. ``pattern``
    matches the raw path in three groups: what comes before the id, the id, and what comes after.
    """

    def __init__(self, app: App, pattern: re.Pattern[bytes]) -> None:
        self.app = app
        self._pattern = pattern

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        found = self._pattern.fullmatch(scope.get("raw_path") or b"")
        if found is not None:
            before, id_, after = found.groups(b"")
            one = quote(unquote_to_bytes(id_), safe="").encode()
            path = unquote_to_bytes(before) + one + unquote_to_bytes(after)
            scope = {**scope, "path": path.decode(errors="replace")}
        await self.app(scope, receive, send)


def host_name(scope: Any) -> str:
    """Return the Host header without its port, in lower case.

    Empty if there is none, more than one, or a malformed one.
    """
    found = [value for name, value in scope["headers"] if name == b"host"]
    if len(found) != 1:
        return ""
    host: str = found[0].decode("latin-1").lower()
    named = _HOST.fullmatch(host)
    return named["name"] if named else ""


def services_only(
    secret: SecretStr,
) -> Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], None]:
    """Return a Litestar guard that wants ``Authorization: Bearer <service secret>``.

    Health and metrics need none.
    """
    expected = f"Bearer {secret.reveal()}".encode()

    def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        given = connection.headers.get("authorization", "").encode("utf-8", "surrogateescape")
        if connection.url.path in (*HEALTH, METRICS):
            return
        if not secrets.compare_digest(given, expected):
            raise TributaryError(
                "This port is only for Tributary's own services.", code="unauthorized", status=401
            )

    return guard


def health(checks: Checks) -> type[Controller]:
    """Return the controller of ``/health/live`` and ``/health/ready``.

    The first answers while the event loop runs, the second with 200 or 503 as ``checks`` says.
    """

    class Health(Controller):
        path = "/health"

        @get("/live", include_in_schema=False)
        async def live(self) -> dict[str, str]:
            return {"status": "live"}

        @get("/ready", include_in_schema=False)
        async def ready(self) -> Response[dict[str, Any]]:
            wrong = await checks()
            content = {"status": "not ready" if wrong else "ready", "waiting_for": dict(wrong)}
            return Response(content, status_code=503 if wrong else 200)

    return Health


def metrics(collectors: Callable[[], Mapping[str, Collector]]) -> HTTPRouteHandler:
    """Return the handler of ``/metrics``.

    It shows what the service counted, and what ``collectors`` read at that moment.
    """
    scrape = Scrape(collectors)

    @get(METRICS, include_in_schema=False)
    async def show() -> Response[bytes]:
        return Response(await scrape.text(), media_type="text/plain; version=0.0.4")

    return show


def error_body(_: object, error: TributaryError) -> Response[dict[str, str]]:
    """Return the plain error of ports between services.

    The gateway has its own, richer ones.
    """
    return Response({"code": error.code, "detail": error.detail}, status_code=error.status)
