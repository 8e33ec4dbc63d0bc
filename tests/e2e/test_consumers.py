"""The programs of docs/consume.md do what the page says, after a load, a change and a deletion."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.topics import ITEMS, last_values
from tests.support.processes import ROOT
from tests.support.product import Product, product
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

COUNTS = {"bases": 1, "tables": 2, "records": 30}
LEFT = 32


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """Yield Airtable after a deletion and a change, and Notion connected and disconnected."""
    with product(tmp_path_factory.mktemp("consumers")) as one:
        account = one.account("airtable", COUNTS)
        connection = one.connect("airtable", account=account)
        assert one.synced(connection["sync_id"])["state"] == "done"
        gone, *_ = sorted(one.ledger("airtable", account, "records"))
        path = f"airtable/accounts/{account}/mutate"
        one.control("POST", path, json={"resource": "records", "archive": [gone], "update": 1})
        again = one.api("POST", f"/v1/connections/{connection['id']}/syncs", json={})
        assert one.synced(again["id"])["state"] == "done"
        left = one.connect("notion", account=one.account("notion", {"pages": 3, "users": 1}))
        assert one.synced(left["sync_id"])["state"] == "done"
        one.api("DELETE", f"/v1/connections/{left['id']}")
        # What was deleted may follow in the background.
        eventually(lambda: live_items(one) == LEFT, every=0.5)
        yield one


def live_items(one: Product) -> int:
    """Return how many items the topic has at its end."""
    last = asyncio.run(last_values(one, ITEMS))
    return len([value for value in last.values() if value is not None])


def programs() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "consume.md").read_text(), re.DOTALL)


def run(code: str, loaded: Product, folder: Path) -> list[str]:
    environ = {
        "PATH": os.environ["PATH"],
        "KAFKA": loaded.bootstrap,
        "DB": str(folder / "items.db"),
    }
    said = subprocess.run(
        [sys.executable, "-c", code],
        env=environ,
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )
    return said.stdout.splitlines()


def test_the_table_and_the_exact_one_hold_what_there_is_now(
    loaded: Product, tmp_path: Path
) -> None:
    table, exact, *_ = programs()
    assert run(table, loaded, tmp_path) == ["32 items"]
    assert run(exact, loaded, tmp_path) == ["32 items"]
    assert run(exact, loaded, tmp_path) == [
        "32 items"
    ]  # started again, it goes on behind its last transaction


def test_the_progress_tells_how_each_job_ended(loaded: Product, tmp_path: Path) -> None:
    _, _, progress, _ = programs()
    said = [line.split(maxsplit=4) for line in run(progress, loaded, tmp_path)]
    ended = Counter(tuple(job[1:4]) for job in said)
    assert ended["records", "done", "30"] == 1
    assert ended["records", "done", "29"] == 1
    assert ended["pages", "done", "3"] == 1


def test_the_digests_tell_whether_a_reader_has_what_tributary_has(
    loaded: Product, tmp_path: Path
) -> None:
    *_, compare = programs()
    keeps_the_newest = "items[id_] = max(items.get(id_, read), read)"
    assert keeps_the_newest in compare
    careless = compare.replace(keeps_the_newest, "items.setdefault(id_, read)")
    with ThreadPoolExecutor() as pool:
        good, bad = pool.map(lambda code: run(code, loaded, tmp_path), (compare, careless))
    assert {"bases same", "tables same", "records same", "pages not comparable"} <= set(good)
    assert {"bases same", "tables same", "records differs"} <= set(bad)


def test_each_program_is_short() -> None:
    for code in programs():
        assert len([line for line in code.splitlines() if line]) <= 30
