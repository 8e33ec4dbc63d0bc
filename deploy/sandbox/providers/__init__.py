"""A simulated provider is one folder here, found by its name: no other file has to know it.

Each folder offers ``SIMULATED``, its data and rules, ``SCOPES``, the scopes it knows (empty where the provider has
none), and ``routes``, its HTTP API below its slug.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable
from importlib import import_module
from typing import Protocol

from litestar.types import ControllerRouterHandler

from deploy.sandbox.world import Simulated, World


class SandboxModule(Protocol):
    """``deploy.sandbox.providers.{slug}``, as a module."""

    @property
    def SIMULATED(self) -> Simulated: ...  # noqa: N802  # a constant of the module

    @property
    def SCOPES(self) -> frozenset[str]: ...  # noqa: N802  # a constant of the module

    def routes(self, world: World) -> Iterable[ControllerRouterHandler]: ...


def load_sandboxes() -> dict[str, SandboxModule]:
    """Return slug → module of every simulated provider, in alphabetical order."""
    folders = sorted(found.name for found in pkgutil.iter_modules(__path__) if found.ispkg)
    modules: list[SandboxModule] = [import_module(f"{__name__}.{name}") for name in folders]
    return {module.SIMULATED.slug: module for module in modules}
