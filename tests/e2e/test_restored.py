"""A store that was lost, or restored from a copy of another day, is noticed and mended at start."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.days import STORES, Days, two_days

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Days]:
    with two_days(tmp_path_factory.mktemp("days")) as days:
        yield days


@pytest.fixture
def days(both: Days) -> Iterator[Days]:
    """Yield the product with the data of tuesday; it does not run yet."""
    both.restore()
    yield both
    both.one.stop()


@pytest.mark.parametrize("lost", [False, True], ids=["of monday", "lost"])
@pytest.mark.parametrize("store", STORES)
def test_everything_is_whole_again_by_itself(days: Days, store: str, *, lost: bool) -> None:
    days.swap(store, by=None if lost else days.copy("monday"))
    days.one.start()
    expected = set()
    if store == "auth":
        expected = {days.connection, days.second} if lost else {days.second}
    assert days.reconnect() == expected
    assert days.compare() == []
