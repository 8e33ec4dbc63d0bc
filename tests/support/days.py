"""Keep the data of one installation as it was on two days, to mix, lose and damage its stores."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer

from shared.contracts.topics import ITEMS
from tests.support.product import Product

COUNTS = {"companies": 40, "contacts": 60, "deals": 20}
STORES = {
    "auth": ("auth.db", "auth.db-wal", "auth.db-shm"),
    "fetcher": ("fetcher.db", "fetcher.db-wal", "fetcher.db-shm"),
    "gateway": ("gateway.db", "gateway.db-wal", "gateway.db-shm"),
    "topics": ("kafka",),
}
"""The files and folders of each store, in the data folder."""


class Days(msgspec.Struct, frozen=True):
    """Two copies of one installation's data, and its connections."""

    one: Product
    folder: Path
    account: str
    connection: str
    second: str

    @property
    def live(self) -> Path:
        """The data folder that the product uses."""
        return Path(self.one.settings["TRIBUTARY_DATA_DIR"])

    def copy(self, day: str) -> Path:
        return self.folder / day

    def restore(self) -> None:
        """Give the product the data of tuesday. It must not run."""
        shutil.rmtree(self.live)
        shutil.copytree(self.copy("tuesday"), self.live)

    def swap(self, store: str, *, by: Path | None) -> None:
        """Replace a store by its copy in another data folder, or by nothing."""
        for name in STORES[store]:
            path = self.live / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            if by is None or not (by / name).exists():
                continue
            if (by / name).is_dir():
                shutil.copytree(by / name, path)
            else:
                shutil.copy2(by / name, path)

    def reconnect(self) -> set[str]:
        """Connect again what has lost its tokens; return those connections."""
        listed = self.one.api("GET", "/v1/connections", params={"org_id": "demo"})["connections"]
        assert {row["id"] for row in listed} == {self.connection, self.second}
        lost = [row for row in listed if row["status"] == "reauth_required"]
        for row in lost:
            again = self.one.connect("hubspot", account=self.account, user=row["user_id"])
            assert again["id"] == row["id"]
        return {row["id"] for row in lost}

    def compare(self) -> list[str]:
        """Sync everything, and return what is not as at the provider."""
        wrong = []
        for connection in (self.connection, self.second):
            state = sync(self.one, connection)["state"]
            wrong += [] if state == "done" else [f"a sync ended {state}"]
            found = self.one.differences("hubspot", self.account, connection)
            wrong += [f"the API has {found}"] if found else []
        fresh = self.one.connect("hubspot", account=self.account, user="fresh")
        assert self.one.synced(fresh["sync_id"])["state"] == "done"
        right = held(self.one, fresh["id"])
        assert len(right) == sum(COUNTS.values()) - len(COUNTS)
        for connection in (self.connection, self.second):
            if held(self.one, connection) != right:
                wrong.append("the topic differs")
        return wrong


@contextmanager
def two_days(folder: Path) -> Iterator[Days]:
    """Yield the data of monday and tuesday. In between, much has changed at the provider and here.

    The product has the same ports all the time: they are in the links of simulated records.
    """
    (folder / "product").mkdir(parents=True)
    with closing(Product(folder / "product")) as one:
        one.start()
        account = one.account("hubspot", COUNTS)
        connection = one.connect("hubspot", account=account)
        assert one.synced(connection["sync_id"])["state"] == "done"
        one.stop()
        days = Days(one, folder, account, connection["id"], "")
        shutil.copytree(days.live, days.copy("monday"))
        one.start()
        for resource in COUNTS:
            change = {"resource": resource, "create": 3, "update": 6, "archive": 4}
            one.control("POST", f"hubspot/accounts/{account}/mutate", json=change)
        assert sync(one, connection["id"])["state"] == "done"
        second = one.connect("hubspot", account=account, user="second")
        assert one.synced(second["sync_id"])["state"] == "done"
        one.stop()
        shutil.copytree(days.live, days.copy("tuesday"))
        yield msgspec.structs.replace(days, second=second["id"])


def sync(one: Product, connection: str) -> dict[str, Any]:
    """Sync a connection; return the sync when it has ended."""
    asked = one.api("POST", f"/v1/connections/{connection}/syncs", json={})
    return one.synced(asked["id"])


def held(one: Product, connection: str) -> dict[str, Any]:
    """Return resource and id → raw record of what the topic holds of a connection."""
    found = {}
    for key, value in asyncio.run(_last_values(one.bootstrap)).items():
        of, _, item = key.partition("/")
        if of == connection and value is not None:
            found[item] = json.loads(value)["raw"]
    return found


async def _last_values(bootstrap: str) -> dict[str, bytes | None]:
    consumer = AIOKafkaConsumer(ITEMS, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        found: dict[str, bytes | None] = {}
        while [part for part, end in ends.items() if await consumer.position(part) < end]:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found |= {record.key.decode(): record.value for record in records}
        return found
    finally:
        await consumer.stop()
