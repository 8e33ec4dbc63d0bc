"""The outermost layer of the public door: check origins, and set the headers of every answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Final, final

from services.gateway.http.pages import DATA_POLICY, PAGE_POLICY
from services.gateway.http.problems import ORIGINAL, PROBLEM_JSON, problem_json
from shared.telemetry.middleware import App, AsgiMessage, AsgiScope, Receive, Send

MAX_BODY: Final = 1_048_576
# A date of structured fields: https://www.rfc-editor.org/rfc/rfc9745#section-2.1
DEPRECATED: Final = "@1795392000"
"""RFC 9745: deprecated since 2026-11-23, when /v1 was released."""
_METHODS: Final = b"GET, HEAD, POST, DELETE, OPTIONS"
# Browsers hide all but a few headers from another origin's scripts unless they are listed.
# https://fetch.spec.whatwg.org/#http-access-control-expose-headers
_EXPOSED: Final = b"Location, Link, Deprecation, Tributary-Incomplete, X-Request-Id"
# What a preflight asks for is echoed, so it may hold header names and nothing else.
_NAMES: Final = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,1024}")
_NOTHING: Final = "There is nothing at this address. See /docs for what there is."
_FOREIGN: Final = (
    "Pages of that origin may not call this server. "
    "Its operator can allow the origin in TRIBUTARY_ALLOWED_ORIGINS."
)
_COMPRESSED: Final = "Compressed requests are not accepted: send the body without Content-Encoding."
Header = tuple[bytes, bytes]


@final
class SecurityHeaders:
    """Refuse requests from foreign pages, and complete the headers of every answer.

    Where no keys are required any caller may do anything, so a page of another origin may do
    nothing. A request with a foreign ``Origin`` (``null`` included), or with more than one, gets
    403 whatever its method. ``own`` are our own addresses; ``allowed`` are the listed origins,
    which also get CORS headers on every answer. A page without a content security policy of its own
    gets the common one.
    """

    def __init__(self, app: App, *, own: Iterable[str], allowed: Iterable[str]) -> None:
        self.app = app
        self._own = frozenset(origin.encode() for origin in own)
        self._allowed = frozenset(origin.encode() for origin in allowed)

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        origin = self._allowed_origin(scope)
        started = False

        async def send_with_headers(message: AsgiMessage) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = self._completed(scope, list(message.get("headers", ())), origin)
                message = {**message, "headers": headers}
            await send(message)

        if self._is_foreign(scope):
            await _refuse(scope, send_with_headers, 403, "foreign_origin", _FOREIGN)
        elif origin is not None and _is_preflight(scope):
            await _preflight(scope, send_with_headers)
        elif refusal := _refusal(scope):
            await _refuse(scope, send_with_headers, *refusal)
        else:
            try:
                await self.app(scope, receive, send_with_headers)
            except asyncio.CancelledError:
                # Answer, then stay cancelled: to swallow it would keep the server running.
                await _leave(scope, send_with_headers, started=started)
                raise

    def _allowed_origin(self, scope: AsgiScope) -> bytes | None:
        origins = _values(scope, b"origin")
        return origins[0] if len(origins) == 1 and origins[0] in self._allowed else None

    def _is_foreign(self, scope: AsgiScope) -> bool:
        origins = _values(scope, b"origin")
        return len(origins) > 1 or not (self._own | self._allowed).issuperset(origins)

    def _completed(
        self, scope: AsgiScope, headers: list[Header], origin: bytes | None
    ) -> list[Header]:
        present = {name.lower(): value for name, value in headers}
        page = present.get(b"content-type", b"").startswith(b"text/html")
        wanted = {
            b"content-security-policy": (PAGE_POLICY if page else DATA_POLICY).encode(),
            b"x-content-type-options": b"nosniff",
            b"x-frame-options": b"DENY",
            b"referrer-policy": b"same-origin",
            b"cache-control": b"no-store",
        }
        if str(scope["path"]).startswith(ORIGINAL):
            wanted[b"deprecation"] = DEPRECATED.encode()
            wanted[b"link"] = b'</v1>; rel="successor-version"'
        if origin is not None:
            wanted[b"access-control-allow-origin"] = origin
            wanted[b"access-control-allow-credentials"] = b"true"
            wanted[b"access-control-expose-headers"] = _EXPOSED
        headers += [(name, value) for name, value in wanted.items() if name not in present]
        # Also without an Origin: a cache must not hand that answer to a page of another origin.
        return [*headers, (b"vary", b"Origin")]


def _is_preflight(scope: AsgiScope) -> bool:
    asked_method = _values(scope, b"access-control-request-method")
    return scope["method"] == "OPTIONS" and bool(asked_method)


def _refusal(scope: AsgiScope) -> tuple[int, str, str] | None:
    """Return status, code and detail for a request that no route may see; else None."""
    # A small compressed body could inflate to gigabytes.
    codings = {coding.strip().lower() for coding in _values(scope, b"content-encoding")}
    if codings - {b"identity"}:
        return 415, "unsupported_encoding", _COMPRESSED
    if "\0" in scope["path"]:  # no name here contains NUL, and PostgreSQL rejects it in a lookup
        return 404, "not_found", _NOTHING
    return None


async def _preflight(scope: AsgiScope, send: Send) -> None:
    asked = b", ".join(_values(scope, b"access-control-request-headers"))
    headers: list[Header] = [
        (b"access-control-allow-methods", _METHODS),
        (b"access-control-max-age", b"600"),
    ]
    if _NAMES.fullmatch(asked):
        headers.append((b"access-control-allow-headers", asked))
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _leave(scope: AsgiScope, send: Send, *, started: bool) -> None:
    """Answer a request that the stopping server no longer waits for, or end its stream."""
    with suppress(Exception):  # the client may be gone, or the answer shorter than announced
        if started:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            detail = "Tributary is shutting down; try again in a moment."
            await _refuse(scope, send, 503, "stopping", detail, retry_after=b"1")


async def _refuse(
    scope: AsgiScope,
    send: Send,
    status: int,
    code: str,
    detail: str,
    *,
    retry_after: bytes | None = None,
) -> None:
    body = problem_json(status, code=code, detail=detail, instance=str(scope["path"])[:256])
    headers = [
        (b"content-type", PROBLEM_JSON.encode()),
        (b"content-length", str(len(body)).encode()),
    ]
    if retry_after:
        headers.append((b"retry-after", retry_after))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _values(scope: AsgiScope, name: bytes) -> list[bytes]:
    return [value for key, value in scope["headers"] if key == name]


def own_origins(public_url: str, hosts: Collection[str]) -> set[str]:
    """Return the origin of the public URL, and the same port under this machine's other names."""
    scheme, _, rest = public_url.partition("://")
    port = rest.rpartition(":")[2]
    suffix = f":{port}" if port.isdigit() else ""
    return {public_url, *(f"{scheme}://{host}{suffix}" for host in hosts)}
