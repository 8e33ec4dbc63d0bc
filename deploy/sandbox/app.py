"""The sandbox server: each provider's own app under its slug, the control API beside them."""

from __future__ import annotations

import pkgutil
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from litestar import Litestar
from litestar.di import Provide
from litestar.types import ASGIApp, ControllerRouterHandler

from deploy.sandbox.answers import EXCEPTIONS
from deploy.sandbox.control import HANDLERS, Stages
from deploy.sandbox.door import by_slug, claimed, guarded
from deploy.sandbox.stage import Stage, staged
from shared import providers
from shared.sandbox import Client, Clock, Simulated, Store, World

FILE = "sandbox.db"


class SandboxModule(Protocol):
    """``shared.providers.{slug}.sandbox``, as a module."""

    @property
    def SIMULATED(self) -> Simulated: ...  # noqa: N802  # a constant of the module

    def routes(self, world: World) -> Iterable[ControllerRouterHandler]: ...


def sandbox_modules() -> dict[str, SandboxModule]:
    """Slug → module of every provider folder that has a sandbox."""
    folders = sorted(found.name for found in pkgutil.iter_modules(providers.__path__, f"{providers.__name__}."))
    # A folder without __init__ has a spec too, but no file that it comes from.
    specs = (find_spec(f"{name}.sandbox") for name in folders)
    found: list[SandboxModule] = [import_module(spec.name) for spec in specs if spec and spec.origin]
    return {module.SIMULATED.slug: module for module in found}


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
    served = sandbox_modules() if modules is None else modules
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
