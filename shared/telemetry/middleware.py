"""Give every request its id and trace, and log in one line how it ended.

The outermost ASGI layer of each service.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, final

import structlog

from shared.telemetry.context import accepted_request_id, bind_request, bind_service
from shared.telemetry.metrics import Counter

AsgiScope = MutableMapping[str, Any]
AsgiMessage = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[AsgiMessage]]
Send = Callable[[AsgiMessage], Awaitable[None]]
App = Callable[[AsgiScope, Receive, Send], Awaitable[None]]

_LONGEST_PATH: Final = 256
_PROBES: Final = ("/health/live", "/health/ready", "/metrics")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_UNMATCHED: Final = "unmatched"
REQUESTS: Final = Counter(
    "tributary_http_requests",
    "HTTP requests answered, by route and status.",
    "method",
    "route",
    "status",
)
log = structlog.get_logger()


@final
class RequestContextMiddleware:
    """Log method, path, status and milliseconds.

    Never the query, which may carry codes and states. An answer that was never started counts as
    500. A stream is logged when it ends.
    """

    def __init__(self, app: App, service: str) -> None:
        self.app = app
        self._service = service

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            bind_service(self._service)
            await self.app(scope, receive, send)
            return
        request_id = accepted_request_id(_header(scope, b"x-request-id"))
        bind_service(self._service)
        with bind_request(request_id, _header(scope, b"traceparent")):
            await self._serve(scope, receive, send, request_id)

    async def _serve(self, scope: AsgiScope, receive: Receive, send: Send, request_id: str) -> None:
        started = time.perf_counter()
        status = 500

        async def send_with_id(message: AsgiMessage) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                kept = [
                    pair
                    for pair in message.get("headers", ())
                    if pair[0].lower() != b"x-request-id"
                ]
                message = {**message, "headers": [*kept, (b"x-request-id", request_id.encode())]}
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        finally:
            _count(scope, status)
            quiet = scope["path"] in _PROBES and status < 500
            say = log.debug if quiet else log.info
            elapsed = round((time.perf_counter() - started) * 1000, 1)
            say(
                "request",
                method=scope["method"],
                path=scope["path"][:_LONGEST_PATH],
                status=status,
                ms=elapsed,
            )


def _count(scope: AsgiScope, status: int) -> None:
    """Count by the route's template, which the router leaves in the scope.

    What a caller makes up must not become a label.
    """
    method = scope["method"] if scope["method"] in _METHODS else "other"
    REQUESTS.add(method, scope.get("path_template") or _UNMATCHED, str(status))


def _header(scope: AsgiScope, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), None)
