from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.db import Database, Schema
from tests.contract.tables import metadata
from tests.servers.places import tables_of


@pytest.fixture
async def database(place: Path | Schema) -> AsyncIterator[Database]:
    async with tables_of(metadata, place) as database:
        yield database


@pytest.fixture
async def another(database: Database, place: Path | Schema) -> AsyncIterator[Database]:
    """Open the same tables a second time, as another process would."""
    another = Database(place)
    yield another
    await another.close()
