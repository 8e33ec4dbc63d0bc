"""The stores of an installation that can be looked at while nothing runs, and the layout of each."""

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
    """Return store, as people are told of it → its layout; without those that are not there yet. Nothing is written."""
    found = {
        store_name(location): await stored_layout(location)
        for location in databases(settings).values()
    }
    found[f"The sandbox's state {sandbox_state(settings)}"] = sqlite_layout(sandbox_state(settings))
    return {store: layout for store, layout in found.items() if layout is not None}


async def check_stores(settings: Settings) -> None:
    """Raise ``LayoutRefused`` if the databases or the sandbox's state have another layout. Nothing is written."""
    for store, layout in (await stored_layouts(settings)).items():
        require_layout(layout, store)
