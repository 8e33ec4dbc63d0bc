"""Find the stores of an installation that can be read while nothing runs, and their layouts."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from shared.db import Location, store_name, stored_layout
from shared.installation import database_location
from shared.layout import require_layout, sqlite_layout
from shared.settings import Settings

SERVICES: Final = ("auth", "fetcher", "gateway")
SANDBOX: Final = "sandbox.db"


def databases(settings: Settings) -> dict[str, Location]:
    """Return service → where its tables are."""
    return {service: database_location(settings, service) for service in SERVICES}


def sandbox_state(settings: Settings) -> Path:
    return settings.data_dir / SANDBOX


async def stored_layouts(settings: Settings) -> dict[str, int]:
    """Return store, by its name for people → its layout. Nothing is written.

    Stores that do not exist yet are left out.
    """
    found = {
        store_name(location): await stored_layout(location)
        for location in databases(settings).values()
    }
    found[f"The sandbox's state {sandbox_state(settings)}"] = sqlite_layout(sandbox_state(settings))
    return {store: layout for store, layout in found.items() if layout is not None}


async def check_stores(settings: Settings) -> None:
    """Raise ``LayoutRefused`` if a database or the sandbox's state has another layout.

    Nothing is written.
    """
    for store, layout in (await stored_layouts(settings)).items():
        require_layout(layout, store)
