"""Put the request log, latency and ordered faults in front of a provider's sandbox."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from deploy.sandbox.server.empty_pages import before_page, translated
from deploy.sandbox.server.faults import Fault, Faults
from deploy.sandbox.server.lies import answer_changed, shortened
from deploy.sandbox.server.requests import RequestLog
from deploy.sandbox.world import Pages, World
from shared import clock


@dataclass(frozen=True)
class ProviderSandbox:
    """Hold one provider's state, its ordered faults, and the log of requests it received."""

    world: World
    faults: Faults
    log: RequestLog = field(default_factory=RequestLog)

    @property
    def slug(self) -> str:
        return self.world.simulated.slug


def controlled(sandbox: ProviderSandbox, app: ASGIApp) -> ASGIApp:
    """Return ``app`` behind the log, the latency and the faults of ``sandbox``."""
    prefix = f"/{sandbox.slug}"

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        at, started, status = clock.now(), time.perf_counter(), None
        method, path = str(scope.get("method")), scope["path"].removeprefix(prefix) or "/"
        account = _account(sandbox.world, scope)

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        query = scope["query_string"]
        fault = sandbox.faults.take(method, path)
        cut = fault is not None and fault.status is None and bool(fault.drop)
        try:
            await _wait(sandbox, fault)
            inner, body = await translated(sandbox.world, scope, receive)
            await _answer(sandbox.world, app, fault, inner, body, watched)
        finally:
            ms = (time.perf_counter() - started) * 1000
            sandbox.log.add(at, method, path, query, None if cut else status, ms, account)

    return serve


def _account(world: World, scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            token = world.tokens.get(value[7:].decode("latin-1").strip())
            return token.account if token else None
    return None


async def _wait(sandbox: ProviderSandbox, fault: Fault | None) -> None:
    replaced = sandbox.faults.replaced
    latency = sandbox.world.limiter.latency_ms + (fault.delay_ms if fault else 0.0)
    if latency > 0:
        await asyncio.sleep(latency / 1000)
    if fault and fault.hold:
        await replaced.wait()


async def _answer(  # noqa: PLR0917  # an ASGI call, and what it goes through
    world: World, app: ASGIApp, fault: Fault | None, scope: Scope, receive: Receive, send: Send
) -> None:
    if fault is None:
        await app(scope, receive, send)
    elif fault.drop:
        if fault.drop == "answer":
            await app(scope, receive, _swallow)
        await _cut(send)
    elif fault.status is not None:
        headers, body = fault.answer
        await send({"type": "http.response.start", "status": fault.status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})
    elif fault.empty and isinstance(world.simulated, Pages):
        change, receive = await before_page(world, world.simulated, scope, receive)
        await answer_changed(app, scope, receive, send, change)
    elif fault.keep is not None or fault.leave_out:
        keep = 1.0 if fault.keep is None else fault.keep
        change = shortened(keep, fault.seed, fault.leave_out)
        await answer_changed(app, scope, receive, send, change)
    else:
        await app(scope, receive, send)


async def _swallow(message: Message) -> None:
    """Drop the answer: the provider has acted, but nobody hears about it."""


async def _cut(send: Send) -> None:
    # ASGI cannot simply close a connection. Announce a byte that never comes, and the server does.
    headers = [(b"content-length", b"1"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
