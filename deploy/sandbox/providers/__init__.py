"""Find the simulated providers: each is a folder here, and no other file has to name it.

Each folder offers ``SIMULATED``, its data and rules, ``SCOPES``, the scopes it knows (empty where
the provider has none), and ``routes``, its HTTP API below its slug.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable
from importlib import import_module
from typing import Protocol

from litestar.types import ControllerRouterHandler

from deploy.sandbox.world import Simulated, World


class SandboxModule(Protocol):
    """Describe what the module ``deploy.sandbox.providers.{slug}`` offers."""

    @property
    def SIMULATED(self) -> Simulated: ...  # noqa: N802  # a constant of the module

    @property
    def SCOPES(self) -> frozenset[str]: ...  # noqa: N802  # a constant of the module

    def routes(self, world: World) -> Iterable[ControllerRouterHandler]: ...


def load_sandboxes() -> dict[str, SandboxModule]:
    """Return slug → module for every simulated provider, in alphabetical order."""
    folders = sorted(found.name for found in pkgutil.iter_modules(__path__) if found.ispkg)
    modules: list[SandboxModule] = [import_module(f"{__name__}.{name}") for name in folders]
    return {module.SIMULATED.slug: module for module in modules}
