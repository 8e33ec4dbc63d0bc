"""Compose the sandbox server: each provider's app under its slug, and the control API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, Final

from litestar import Litestar, Request, Response
from litestar.di import Provide
from litestar.exceptions import MethodNotAllowedException, NotFoundException
from litestar.types import ASGIApp, ExceptionHandlersMap

from deploy.sandbox.providers import SandboxModule, load_sandboxes
from deploy.sandbox.server.control import HANDLERS, Sandboxes
from deploy.sandbox.server.faults import Faults
from deploy.sandbox.server.provider_sandbox import ProviderSandbox, controlled
from deploy.sandbox.server.responses import EXCEPTIONS
from deploy.sandbox.server.routing import by_slug, claimed, local_only
from deploy.sandbox.world import Clock, Refuses, SandboxClient, Store, World

FILE: Final = "sandbox.db"


def create_app(
    data_dir: Path,
    clients: Mapping[str, SandboxClient],
    modules: Mapping[str, SandboxModule] | None = None,
    *,
    names: Collection[str] = (),
) -> ASGIApp:
    """Return the server for every module that has a client; ``modules`` None means all there are.

    ``names`` are host names it answers to besides those of this machine. State is kept in
    ``sandbox.db`` in ``data_dir``; while the server runs (ASGI lifespan), no other process may use
    it.
    """
    served = load_sandboxes() if modules is None else modules
    store = Store(data_dir / FILE)
    clock = Clock(store)
    sandboxes = {
        slug: ProviderSandbox(
            World(served[slug].SIMULATED, store, clock, clients[slug]), Faults(clock)
        )
        for slug in served
        if slug in clients
    }
    apps = {slug: _provider_app(sandbox, served[slug]) for slug, sandbox in sandboxes.items()}
    return local_only(
        by_slug(apps, _control_app(Sandboxes(sandboxes, clock), data_dir, store)), names
    )


def _provider_app(sandbox: ProviderSandbox, module: SandboxModule) -> ASGIApp:
    app = Litestar(
        route_handlers=list(module.routes(sandbox.world)),
        exception_handlers={**EXCEPTIONS, **_unknown(sandbox)},
        openapi_config=None,
        logging_config=None,
    )
    return controlled(sandbox, app)


def _unknown(sandbox: ProviderSandbox) -> ExceptionHandlersMap:
    """Return the handler of calls that have no route, if the provider answers them itself."""
    simulated = sandbox.world.simulated
    if not isinstance(simulated, Refuses):
        return {}

    def refused(request: Request[Any, Any, Any], _: Exception) -> Response[bytes]:
        path = request.scope["path"].removeprefix(f"/{sandbox.slug}")
        return simulated.refusal(request.method, path)

    return {NotFoundException: refused, MethodNotAllowedException: refused}


def _control_app(sandboxes: Sandboxes, data_dir: Path, store: Store) -> ASGIApp:
    @asynccontextmanager
    async def alone(_: Litestar) -> AsyncIterator[None]:
        with closing(store), claimed(data_dir / f"{FILE}.lock"):
            yield

    return Litestar(
        route_handlers=HANDLERS,
        dependencies={"sandboxes": Provide(lambda: sandboxes, sync_to_thread=False)},
        exception_handlers=EXCEPTIONS,
        lifespan=[alone],
        openapi_config=None,
        logging_config=None,
    )
