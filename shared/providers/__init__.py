"""A provider is one folder here; this module finds them, so that no other file has to know a name.

Each folder has ``PROVIDER`` (data, in ``__init__``) and ``CONNECTOR`` (in ``connector``, for the fetcher alone).
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from shared.connector import Connector, Provider


def load_providers() -> dict[str, Provider]:
    """Slug → data of every provider, in alphabetical order."""
    found = sorted(module.name for module in pkgutil.iter_modules(__path__) if module.ispkg)
    providers: list[Provider] = [import_module(f"{__name__}.{name}").PROVIDER for name in found]
    return {provider.slug: provider for provider in providers}


def load_connector(slug: str) -> Connector:
    connector: Connector = import_module(f"{__name__}.{slug}.connector").CONNECTOR
    return connector
