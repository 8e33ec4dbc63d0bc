"""Choose where a test keeps its tables: scenarios run on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import MetaData
from sqlalchemy.schema import CreateSchema

from shared.db import Database, Schema
from shared.settings import SecretStr
from tests.support.waiting import PATIENCE_S


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | Schema:
    """Yield an empty place of the test's own; a test for PostgreSQL alone uses ``schema``."""
    if request.param == "sqlite":
        return tmp_path / "own.db"
    return _schema(request.getfixturevalue("real_postgres"))


@pytest.fixture
def schema(real_postgres: str) -> Schema:
    return _schema(real_postgres)


def _schema(url: str) -> Schema:
    return Schema(url=SecretStr(url), name=f"own_{uuid4().hex[:12]}", connect_s=PATIENCE_S)


@asynccontextmanager
async def tables_of(metadata: MetaData, place: Path | Schema) -> AsyncIterator[Database]:
    """Return the open database with these tables in it, made without a migration."""
    database = Database(place)
    try:
        async with database.write() as db:
            if isinstance(place, Schema):
                await db.execute(CreateSchema(place.name))
            await db.run_sync(metadata.create_all)
        yield database
    finally:
        await database.close()
