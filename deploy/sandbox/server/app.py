"""The sandbox server: each provider's own app under its slug, the control API beside them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from litestar import Litestar
from litestar.di import Provide
from litestar.types import ASGIApp

from deploy.sandbox.providers import SandboxModule, load_sandboxes
from deploy.sandbox.server.answers import EXCEPTIONS
from deploy.sandbox.server.control import HANDLERS, Stages
from deploy.sandbox.server.door import by_slug, claimed, guarded
from deploy.sandbox.server.stage import Stage, staged
from deploy.sandbox.world import Client, Clock, Store, World

FILE = "sandbox.db"


def create_app(
    data_dir: Path,
    clients: Mapping[str, Client],
    modules: Mapping[str, SandboxModule] | None = None,
    *,
    names: Collection[str] = (),
) -> ASGIApp:
    """The server for every module that ``clients`` has a client for; all found ones when ``modules`` is None.

    ``names`` are hosts it is reached by beside those of this machine. State is ``sandbox.db`` in ``data_dir``; from
    start-up to shutdown (ASGI lifespan) no other process may serve it.
    """
    served = load_sandboxes() if modules is None else modules
    store = Store(data_dir / FILE)
    clock = Clock(store)
    stages = {
        slug: Stage(World(served[slug].SIMULATED, store, clock, clients[slug])) for slug in served if slug in clients
    }
    apps = {slug: _provider_app(stage, served[slug]) for slug, stage in stages.items()}
    return guarded(by_slug(apps, _control_app(Stages(stages, clock), data_dir, store)), names)


def _provider_app(stage: Stage, module: SandboxModule) -> ASGIApp:
    app = Litestar(
        route_handlers=list(module.routes(stage.world)),
        exception_handlers=EXCEPTIONS,
        openapi_config=None,
        logging_config=None,
    )
    return staged(stage, app)


def _control_app(stages: Stages, data_dir: Path, store: Store) -> ASGIApp:
    @asynccontextmanager
    async def alone(_: Litestar) -> AsyncIterator[None]:
        with claimed(data_dir / f"{FILE}.lock"):
            yield
        store.close()

    return Litestar(
        route_handlers=HANDLERS,
        dependencies={"stages": Provide(lambda: stages, sync_to_thread=False)},
        exception_handlers=EXCEPTIONS,
        lifespan=[alone],
        openapi_config=None,
        logging_config=None,
    )
