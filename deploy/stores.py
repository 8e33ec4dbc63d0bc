"""Find the stores of an installation that can be read while nothing runs, and their layouts."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from shared.db import Location, store_name, stored_installation, stored_layout
from shared.installation import database_location
from shared.layout import BELONGING, ForeignStore, check_sqlite, require_layout, sqlite_layout
from shared.settings import Settings

SERVICES: Final = ("auth", "fetcher", "gateway")
SANDBOX: Final = "sandbox.db"
CHECK_S: Final = 2.0
"""Seconds for which a start reads each SQLite file, to see whether it is whole."""


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


async def installation_id(settings: Settings) -> str | None:
    """Return the id of the installation that the databases belong to, None if they have none yet.

    Raises:
        ForeignStore: they are of two installations.
    """
    found = {
        store_name(location): await stored_installation(location)
        for location in databases(settings).values()
    }
    known = {store: id_ for store, id_ in found.items() if id_ is not None}
    if len(set(known.values())) > 1:
        raise ForeignStore(f"{' and '.join(known)} belong to different installations. {BELONGING}")
    return next(iter(known.values()), None)


async def check_stores(settings: Settings) -> None:
    """Check that the databases and the sandbox's state are ours and whole; nothing is written.

    Raises:
        LayoutRefused: one of them has another layout.
        StoreUnusable: an SQLite file is damaged. Large ones are only read in part.
    """
    for store, layout in (await stored_layouts(settings)).items():
        require_layout(layout, store)
    for place in [*databases(settings).values(), sandbox_state(settings)]:
        if isinstance(place, Path) and place.exists():
            check_sqlite(place, budget_s=CHECK_S)
