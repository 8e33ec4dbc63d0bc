"""Connect an account, load all of it, and check what arrived against the provider's ledger."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from benchmarks.processes import SANDBOX, SERVERS, Running
from tests.support.client import ENDED, RESOURCES, Client
from tests.support.waiting import eventually

PROVIDER = "hubspot"
COUNTS = {"companies": 8_000, "contacts": 17_000, "deals": 5_000}
LONGEST_S = 180.0
Figures = dict[str, float]
"""Name of a measurement → its value; the unit stands in brackets at the end of the name."""


class Incomplete(Exception):
    """Fail because the synced data is not the provider's: the round does not count."""


def load(
    running: Running, counts: Mapping[str, int], *, latency_ms: int = 0, properties: int = 0
) -> Figures:
    """Load an account and measure it.

    Seconds and CPU run from just before the callback until everything synced can be read. The time
    to the first item runs from the callback's answer until ``GET /v1/items`` has one. Reading back
    means everything through ``/v1/items``, 200 at a time.

    Raises:
        Incomplete: names each resource with what is lost, and what is there but should not be.
    """
    product, account = running.product, made(running.product, counts, properties=properties)
    product.control("PUT", f"{PROVIDER}/limits", json={"off": True, "latency_ms": latency_ms})
    before, started = running.cpu_s(), time.perf_counter()
    connection, first_item_s = connected(product, account)
    whole(product, connection)
    seconds, after, peaks = time.perf_counter() - started, running.cpu_s(), running.peak_mb()
    items = checked(product, account, connection)
    read = running.cpu_s()
    calls = product.control("GET", f"{PROVIDER}/requests")["items"]
    figures = {
        "records per second": items / seconds,
        "whole sync [s]": seconds,
        "first item [s]": first_item_s,
    }
    figures |= _cpu(running, before, after, items)
    figures["reading it back: CPU per item, ours [µs]"] = (
        _sum(running.ours, after, read) / items * 1e6
    )
    figures |= {f"memory: {name} [MB]": peaks[name] for name in peaks if name != SANDBOX}
    figures["calls to the provider"] = len(calls)
    figures["of them refused with 429"] = sum(call["status"] == 429 for call in calls)
    return figures


def made(product: Client, counts: Mapping[str, int], *, properties: int = 0) -> str:
    """Return a new account whose records exist already, so that making them is not measured."""
    product.unlimited(PROVIDER)
    account = product.account(PROVIDER, counts, properties=properties)
    for resource, count in counts.items():
        if len(product.ledger(PROVIDER, account, resource)) != count:
            raise RuntimeError(f"the sandbox did not make {count} {resource}")
    return account


def connected(product: Client, account: str) -> tuple[dict[str, Any], float]:
    """Return the new connection, and how long its first item took."""
    asked = {"provider": PROVIDER, "org_id": "demo", "user_id": "demo"}
    flow = product.api("POST", "/v1/connect", json=asked)
    product.consent(flow["authorize_url"], account=account).raise_for_status()
    answered = time.perf_counter()
    eventually(
        lambda: product.api("GET", "/v1/items?page_size=1")["items"], within=LONGEST_S, every=0.02
    )
    readable = time.perf_counter()
    id_ = product.api("GET", f"/v1/connect/{flow['flow_id']}")["connection_id"]
    connection: dict[str, Any] = product.api("GET", f"/v1/connections/{id_}")
    return connection, readable - answered


def whole(product: Client, connection: Mapping[str, Any]) -> None:
    """Wait until all of it can be read; ask rarely, because answering costs CPU time too."""
    end = time.monotonic() + LONGEST_S
    while (sync := product.api("GET", f"/v1/syncs/{connection['sync_id']}"))["state"] not in ENDED:
        if time.monotonic() > end:
            raise Incomplete(f"not within {LONGEST_S:.0f} s: {sync['resources']}")
        time.sleep(0.25)
    if sync["state"] != "done":
        raise Incomplete(f"the sync ended {sync['state']}: {sync['resources']}")


def checked(product: Client, account: str, connection: Mapping[str, Any]) -> int:
    """Return the number of items once they are exactly the ledger's."""
    total, wrong = 0, []
    for resource in RESOURCES[PROVIDER]:
        ours = [item["id"] for item in product.items(connection["id"], resource)]
        theirs = set(product.ledger(PROVIDER, account, resource))
        lost, phantom = len(theirs - set(ours)), len(set(ours) - theirs)
        if lost or phantom or len(ours) != len(set(ours)):
            wrong.append(
                f"{resource}: {len(ours)} items, {lost} lost, {phantom} unknown to the provider"
            )
        total += len(ours)
    if wrong:
        raise Incomplete("; ".join(wrong))
    return total


def _cpu(
    running: Running, before: Mapping[str, float], after: Mapping[str, float], items: int
) -> Figures:
    names = list(dict.fromkeys(part.name for part in running.parts))
    ours = [name for name in names if name in running.ours]
    servers = [name for name in names if name in SERVERS]
    together = {"ours": set(ours), "the servers": set(servers)}
    if len(ours) > 1:
        together |= {name: {name} for name in (*ours, *servers)}
    together["sandbox (not counted)"] = {SANDBOX}
    return {
        f"CPU per item: {label} [µs]": _sum(some, before, after) / items * 1e6
        for label, some in together.items()
        if some
    }


def _sum(names: set[str], before: Mapping[str, float], after: Mapping[str, float]) -> float:
    return sum(after[name] - before[name] for name in names)
