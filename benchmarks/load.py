"""One round: connect an account, load all of it, and check what arrived against the provider's ledger."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.processes import PRODUCT, Pair, running
from tests.product import RESOURCES, Product, eventually

PROVIDER = "hubspot"
COUNTS = {"companies": 8_000, "contacts": 17_000, "deals": 5_000}
LONGEST_S = 300.0


class Incomplete(Exception):
    """What was loaded is not what the provider has: the round does not count."""


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds and CPU run from just before the callback until the whole load can be read.

    ``first_item_s`` runs from the callback's answer until ``GET /v1/items`` has an item. ``read_us`` is the product's
    CPU per item when a client reads everything back through ``/v1/items``, 200 at a time.
    """

    items: int
    seconds: float
    first_item_s: float
    product_us: float
    sandbox_us: float
    read_us: float
    peak_mb: float
    calls: int
    refused: int

    @property
    def per_second(self) -> float:
        return self.items / self.seconds


def play(counts: dict[str, int], command: Sequence[str] = PRODUCT) -> Round:
    """Start both processes on a new data folder, load, stop them.

    Raises:
        Incomplete: names each resource with what is lost, and what is there but should not be.
    """
    with tempfile.TemporaryDirectory(prefix="tributary-bench-") as folder, running(Path(folder), command) as pair:
        account = _account(pair.product, counts)
        callback = _consented(pair.product, account)
        return _measured(pair, account, callback)


def _account(product: Product, counts: dict[str, int]) -> str:
    """A new account whose records have all been made, so that making them is not measured."""
    product.unlimited(PROVIDER)
    account = product.account(PROVIDER, counts)
    for resource, count in counts.items():
        if len(product.ledger(PROVIDER, account, resource)) != count:
            raise RuntimeError(f"the sandbox did not make {count} {resource}")
    return account


def _consented(product: Product, account: str) -> tuple[str, str, Any]:
    """Consent up to the redirect to our callback: the flow, the callback's URL, the browser that holds its cookie."""
    asked = {"provider": PROVIDER, "org_id": "demo", "user_id": "demo"}
    flow = product.api("POST", "/v1/connect", json=asked)
    browser = product.browser()
    consent = browser.get(flow["authorize_url"]).headers["location"]
    back = browser.post(consent, data={"decision": "allow", "account": account}).headers["location"]
    return flow["flow_id"], back, browser


def _measured(pair: Pair, account: str, callback: tuple[str, str, Any]) -> Round:
    product, (flow, url, browser) = pair.product, callback
    cpu, started = pair.cpu_s(), time.perf_counter()
    browser.get(url).raise_for_status()
    answered = time.perf_counter()
    eventually(lambda: product.api("GET", "/v1/items?page_size=1")["items"], within=LONGEST_S, every=0.02)
    readable = time.perf_counter()
    connection = product.api("GET", f"/v1/connect/{flow}")["connection_id"]
    sync = product.api("GET", f"/v1/connections/{connection}")["sync_id"]
    ended = eventually(lambda: _ended(product, sync), within=LONGEST_S, every=0.25)
    over, loaded = time.perf_counter(), pair.cpu_s()
    peak = pair.peak_mb()
    items = _checked(product, account, connection, ended)
    read = pair.cpu_s()
    calls = product.control("GET", f"{PROVIDER}/requests")["items"]
    return Round(
        items=items,
        seconds=over - started,
        first_item_s=readable - answered,
        product_us=(loaded[0] - cpu[0]) / items * 1e6,
        sandbox_us=(loaded[1] - cpu[1]) / items * 1e6,
        read_us=(read[0] - loaded[0]) / items * 1e6,
        peak_mb=peak,
        calls=len(calls),
        refused=sum(call["status"] == 429 for call in calls),
    )


def _ended(product: Product, sync: str) -> dict[str, Any] | None:
    found: dict[str, Any] = product.api("GET", f"/v1/syncs/{sync}")
    return found if found["state"] != "running" else None


def _checked(product: Product, account: str, connection: str, sync: dict[str, Any]) -> int:
    """How many items there are, once they are the ledger's and no others."""
    if sync["state"] != "done":
        raise Incomplete(f"the sync ended {sync['state']}: {sync['resources']}")
    total, wrong = 0, []
    for resource in RESOURCES[PROVIDER]:
        ours = [item["id"] for item in product.items(connection, resource)]
        theirs = set(product.ledger(PROVIDER, account, resource))
        lost, phantom = len(theirs - set(ours)), len(set(ours) - theirs)
        if lost or phantom or len(ours) != len(set(ours)):
            wrong.append(f"{resource}: {len(ours)} items, {lost} lost, {phantom} unknown to the provider")
        total += len(ours)
    if wrong:
        raise Incomplete("; ".join(wrong))
    return total
