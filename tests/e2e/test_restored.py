"""A store that was lost, or restored from a copy of another day, is noticed and mended at start."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.e2e.topics import ITEMS, last_values
from tests.support.product import Product

pytestmark = pytest.mark.e2e

COUNTS = {"companies": 40, "contacts": 60, "deals": 20}
STORES = {
    "auth": ("auth.db", "auth.db-wal", "auth.db-shm"),
    "fetcher": ("fetcher.db", "fetcher.db-wal", "fetcher.db-shm"),
    "gateway": ("gateway.db", "gateway.db-wal", "gateway.db-shm"),
    "topics": ("kafka",),
}


class Days(msgspec.Struct, frozen=True):
    """Two copies of one installation's data, and its connections."""

    one: Product
    folder: Path
    account: str
    connection: str
    second: str

    def data(self, day: str) -> Path:
        return self.folder / day


def change(one: Product, account: str, resource: str, **change: Any) -> Any:
    path = f"hubspot/accounts/{account}/mutate"
    return one.control("POST", path, json={"resource": resource, **change})


def sync(one: Product, connection: str) -> dict[str, Any]:
    asked = one.api("POST", f"/v1/connections/{connection}/syncs", json={})
    return one.synced(asked["id"])


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Days]:
    """Yield the data of two days. In between, much has changed at the provider, and here."""
    folder = tmp_path_factory.mktemp("days")
    (folder / "product").mkdir()
    # The same ports for all tests: they are in the links of simulated records.
    with closing(Product(folder / "product")) as one:
        one.start()
        account = one.account("hubspot", COUNTS)
        connection = one.connect("hubspot", account=account)
        assert one.synced(connection["sync_id"])["state"] == "done"
        one.stop()
        data = Path(one.settings["TRIBUTARY_DATA_DIR"])
        shutil.copytree(data, folder / "monday")
        one.start()
        for resource in COUNTS:
            change(one, account, resource, create=3, update=6, archive=4)
        assert sync(one, connection["id"])["state"] == "done"
        second = one.connect("hubspot", account=account, user="second")
        assert one.synced(second["sync_id"])["state"] == "done"
        one.stop()
        shutil.copytree(data, folder / "tuesday")
        yield Days(one, folder, account, connection["id"], second["id"])


@pytest.fixture
def on_tuesday(days: Days) -> Iterator[Product]:
    """Yield the product with the data of tuesday; it does not run yet."""
    data = Path(days.one.settings["TRIBUTARY_DATA_DIR"])
    shutil.rmtree(data)
    shutil.copytree(days.data("tuesday"), data)
    yield days.one
    days.one.stop()


def swap(one: Product, days: Days, store: str, *, lost: bool) -> None:
    """Replace a store by its copy of monday, or by nothing."""
    data = Path(one.settings["TRIBUTARY_DATA_DIR"])
    for name in STORES[store]:
        path, copy = data / name, days.data("monday") / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        if copy.is_dir() and not lost:
            shutil.copytree(copy, path)
        elif copy.exists() and not lost:
            shutil.copy2(copy, path)


async def held(one: Product, connection: str) -> dict[str, Any]:
    """Return resource and id → raw record of what the topic holds of a connection."""
    found = {}
    for key, value in (await last_values(one, ITEMS)).items():
        of, _, item = key.partition("/")
        if of == connection and value is not None:
            found[item] = json.loads(value)["raw"]
    return found


@pytest.mark.parametrize("lost", [False, True], ids=["of monday", "lost"])
@pytest.mark.parametrize("store", STORES)
async def test_everything_is_whole_again_by_itself(
    days: Days, on_tuesday: Product, store: str, *, lost: bool
) -> None:
    one = on_tuesday
    swap(one, days, store, lost=lost)
    one.start()
    listed = one.api("GET", "/v1/connections", params={"org_id": "demo"})["connections"]
    assert {row["id"] for row in listed} == {days.connection, days.second}
    reconnected = [row for row in listed if row["status"] == "reauth_required"]
    for row in reconnected:
        again = one.connect("hubspot", account=days.account, user=row["user_id"])
        assert again["id"] == row["id"]
    expected = set()
    if store == "auth":
        expected = {days.connection, days.second} if lost else {days.second}
    assert {row["id"] for row in reconnected} == expected

    for connection in (days.connection, days.second):
        assert sync(one, connection)["state"] == "done"
        assert one.differences("hubspot", days.account, connection) == {}
    fresh = one.connect("hubspot", account=days.account, user="fresh")
    assert one.synced(fresh["sync_id"])["state"] == "done"
    right = await held(one, fresh["id"])
    assert len(right) == sum(COUNTS.values()) - len(COUNTS)
    for connection in (days.connection, days.second):
        assert await held(one, connection) == right
