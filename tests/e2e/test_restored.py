"""A store that was lost, or restored from a copy of another day, is noticed and mended at start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.days import STORES, Days, two_days
from tests.support.product import product
from tests.support.variations import variations

pytestmark = pytest.mark.e2e

CASES = (
    *(("auth", False), ("auth", True), ("fetcher", True), ("gateway", False), ("topics", True)),
    *variations(("fetcher", False), ("gateway", True), ("topics", False)),
)
"""Each store, of monday (False) or lost (True)."""


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Days]:
    with two_days(tmp_path_factory.mktemp("days")) as days:
        yield days


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the data folder of another installation."""
    with product(tmp_path_factory.mktemp("foreign")) as other:
        return Path(other.settings["TRIBUTARY_DATA_DIR"])


@pytest.fixture
def days(both: Days) -> Iterator[Days]:
    """Yield the product with the data of tuesday; it does not run yet."""
    both.restore()
    yield both
    both.one.stop()


@pytest.mark.parametrize(("store", "lost"), CASES)
def test_everything_is_whole_again_by_itself(days: Days, store: str, *, lost: bool) -> None:
    days.swap(store, by=None if lost else days.copy("monday"))
    days.one.start()
    expected = set()
    if store == "auth":
        expected = {days.connection, days.second} if lost else {days.second}
    assert days.reconnect() == expected
    assert days.compare() == []


@pytest.mark.parametrize("store", STORES)
def test_a_store_of_another_installation_is_refused_and_changes_nothing(
    days: Days, foreign: Path, store: str
) -> None:
    days.swap(store, by=foreign)
    with pytest.raises(AssertionError, match="belong to different installations"):
        days.one.start()
    days.one.stop()
    assert "Traceback" not in days.one.log.read_text()
    days.swap(store, by=days.copy("tuesday"))
    days.one.start()
    for connection in (days.connection, days.second):
        assert days.one.differences("hubspot", days.account, connection) == {}
