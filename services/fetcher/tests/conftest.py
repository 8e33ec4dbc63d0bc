from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from shared.db import Schema
from shared.settings import SecretStr
from tests.support.waiting import PATIENCE_S

SQLITE_SUFFICES: Final = {
    *("test_deleted_lists", "test_fair_shares", "test_patience", "test_removal", "test_sizes"),
    *("test_tries", "test_truncated", "test_waiting_loads", "test_walks"),
}
"""Tests of what a provider answers and of time: their statements are those of the other files. On
PostgreSQL ``make chaos`` runs them."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        callspec = getattr(item, "callspec", None)
        home = callspec.params.get("home") if callspec else None
        if home == "postgresql" and item.path.stem in SQLITE_SUFFICES:
            item.add_marker(pytest.mark.variation)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """A hundred crashes would print a hundred tracebacks."""
    with capture_logs():
        yield


@pytest.fixture(scope="module")
def schema_of_module(real_postgres: str) -> Schema:
    url, name = SecretStr(real_postgres), f"fetcher_{uuid4().hex[:8]}"
    # Many take turns at one lock here, on a machine that may be busy.
    return Schema(url=url, name=name, connect_s=PATIENCE_S, lock_s=PATIENCE_S, idle_s=PATIENCE_S)


@pytest.fixture(params=["sqlite", "postgresql"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Path | Schema:
    """Return a place for a ``Fetcher``'s tables; each test gets them empty."""
    found: Path | Schema = tmp_path
    if request.param == "postgresql":
        found = request.getfixturevalue("schema_of_module")
    return found
