"""Find the providers: each is one folder here, so that no other file has to know a name.

A folder has ``PROVIDER`` (data, in ``__init__``) and ``CONNECTOR`` (in ``connector``, which only
the fetcher imports). ``python -m deploy.provider new`` writes the start of one, and
``tests/conformance`` says what it still lacks.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from shared.connector import Connector, Provider


def load_providers() -> dict[str, Provider]:
    """Return slug → data of every provider, in alphabetical order."""
    found = sorted(module.name for module in pkgutil.iter_modules(__path__) if module.ispkg)
    providers: list[Provider] = [import_module(f"{__name__}.{name}").PROVIDER for name in found]
    return {provider.slug: provider for provider in providers}


def load_connector(slug: str) -> Connector:
    """Import the connector of the provider called ``slug``."""
    connector: Connector = import_module(f"{__name__}.{slug}.connector").CONNECTOR
    return connector
