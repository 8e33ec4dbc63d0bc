"""One event, traced from browser to REST, takes part in what docs/architecture.md names."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.support.processes import ROOT
from tests.support.product import product
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

MOST = 40
ROOMS = ("services/", "shared/contracts/", "shared/connector/", "shared/providers/")
WALK = re.compile(r"<!-- walk -->(.*?)<!-- /walk -->", re.DOTALL)
FILE = re.compile(r"`((?:services|shared)/[\w/]+\.py)`")


def named() -> set[str]:
    (walk,) = WALK.findall((ROOT / "docs" / "architecture.md").read_text("utf-8"))
    return set(FILE.findall(walk))


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Return module → its functions that ran, from the click on Connect to the item read."""
    folder = tmp_path_factory.mktemp("walk")
    written = folder / "traced"
    with product(folder, module="tests.e2e.traced", TRACED=str(written)) as one:
        assert one.process is not None
        account = one.account("hubspot", {"companies": 1, "contacts": 0, "deals": 0})
        os.kill(one.process.pid, signal.SIGUSR1)
        flow = one.api(
            "POST", "/v1/connect", json={"provider": "hubspot", "org_id": "demo", "user_id": "demo"}
        )
        one.consent(flow["authorize_url"], account=account)
        eventually(lambda: one.api("GET", "/v1/items", params={"resource": "companies"})["items"])
        os.kill(one.process.pid, signal.SIGUSR2)
        eventually(written.exists)
    return read(written)


def read(written: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in written.read_text().splitlines():
        path, _, function = line.partition(" ")
        if path.startswith(ROOMS):
            found.setdefault(path, []).append(function)
    return found


def test_no_module_takes_part_that_the_walk_does_not_name(traced: dict[str, list[str]]) -> None:
    unnamed = {path: functions for path, functions in traced.items() if path not in named()}
    assert unnamed == {}


def test_the_walk_names_no_module_that_does_not_take_part(traced: dict[str, list[str]]) -> None:
    assert named() - traced.keys() == set()


def test_the_walk_stays_short_enough_to_be_followed(traced: dict[str, list[str]]) -> None:
    assert len(traced) <= MOST, "\n".join(sorted(traced))
