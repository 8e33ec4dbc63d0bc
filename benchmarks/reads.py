"""Read pages of 50 of 100,000 items at random depths, at full speed and at half of it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import msgspec

from benchmarks.load import Figures, checked, connected, made, whole
from benchmarks.processes import Running
from benchmarks.reader import Reading
from tests.support.client import Client
from tests.support.processes import ROOT

COUNTS = {"companies": 20_000, "contacts": 60_000, "deals": 20_000}
PAGE = 50
SECONDS = 8.0
CONNECTIONS = 16
IDLE_S = 2.0


def filled(running: Running, part: str) -> Callable[[], Figures]:
    """Load the account first; each call of the result is one round.

    ``part`` is the process that answers.

    Raises:
        Incomplete: the loaded data is not the provider's.
    """
    product, account = running.product, made(running.product, COUNTS)
    connection, _ = connected(product, account)
    whole(product, connection)
    checked(product, account, connection)
    deep = _targets(product, connection["id"])
    return lambda: {**_round(running, part, deep), **_first_page(running, part, deep[:1])}


def _targets(product: Client, connection: str) -> list[str]:
    """Return the page token of every page."""
    path = f"/v1/items?connection_id={connection}&page_size={PAGE}"
    found, token = [path], product.api("GET", path)["next_page_token"]
    while token:
        found.append(f"{path}&page_token={token}")
        token = product.api("GET", found[-1])["next_page_token"]
    return found


def _round(running: Running, part: str, targets: Sequence[str]) -> Figures:
    """Run one round; subtract what the process does besides answering, measured beforehand."""
    full, cpu_us = _read(running, part, targets, rate=0)
    half, _ = _read(running, part, targets, rate=full.per_second / 2)
    return {
        "requests per second per core": 1e6 / cpu_us,
        "CPU per request [µs]": cpu_us,
        "full rate: requests per second": full.per_second,
        "full rate: p50 [ms]": full.percentile_ms(0.5),
        "full rate: p99 [ms]": full.percentile_ms(0.99),
        "half rate: p50 [ms]": half.percentile_ms(0.5),
        "half rate: p99 [ms]": half.percentile_ms(0.99),
    }


def _first_page(running: Running, part: str, targets: Sequence[str]) -> Figures:
    full, cpu_us = _read(running, part, targets, rate=0)
    return {
        "first page: CPU per request [µs]": cpu_us,
        "first page: p99 [ms]": full.percentile_ms(0.99),
    }


def _read(
    running: Running, part: str, targets: Sequence[str], *, rate: float
) -> tuple[Reading, float]:
    """Return the reading, and the CPU time per request (µs) of ``part``."""
    begun = running.cpu_s()[part]
    time.sleep(IDLE_S)
    idle = (running.cpu_s()[part] - begun) / IDLE_S
    port = running.product.url.rpartition(":")[2]
    before = running.cpu_s()[part]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.reader",
            port,
            str(SECONDS),
            str(rate),
            str(CONNECTIONS),
        ],
        input="\n".join(targets),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    used = running.cpu_s()[part] - before
    if done.returncode:
        raise RuntimeError(f"the reader failed: {done.stderr[-1000:]}")
    reading = msgspec.json.decode(done.stdout, type=Reading)
    return reading, (used - idle * reading.seconds) / reading.requests * 1e6
