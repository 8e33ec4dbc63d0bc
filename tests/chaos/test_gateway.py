"""Streams break, disks are full, a backlog waits: the read model and its readers carry on."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from shared.contracts.topics import ITEMS
from tests.chaos import log
from tests.chaos.limits import disk_full, forget_peak, peak_mib
from tests.chaos.load import Load, begin, held, pace, released
from tests.chaos.stack import Stack
from tests.chaos.topic import Topic
from tests.support.waiting import PATIENCE_S, eventually

pytestmark = pytest.mark.e2e

LONG = {"companies": 1500, "contacts": 1500, "deals": 1500}
BACKLOG = 30_000
MOST_MIB = 256


@dataclass
class Events:
    """Collect what a stream has sent: (id, event, data); ``last`` is for Last-Event-ID."""

    seen: list[tuple[int, str, Any]] = field(default_factory=list)

    @property
    def last(self) -> int:
        return max((number for number, _, _ in self.seen), default=0)

    @property
    def over(self) -> bool:
        return any(event == "done" for _, event, _ in self.seen)

    def read(self, load: Load, *, most: int = 1_000_000) -> None:
        """Read until the stream ends, breaks, or has sent this many more."""
        headers = {"Last-Event-ID": str(self.last)} if self.seen else {}
        url = f"{load.stack.client.url}/v1/syncs/{load.sync}/events"
        try:
            with httpx.stream(
                "GET", url, headers=headers, timeout=PATIENCE_S, trust_env=False
            ) as answer:
                for one in _events(answer):
                    self.seen.append(one)
                    most -= 1
                    if most == 0:
                        return
        except httpx.TransportError:
            return


def _events(answer: httpx.Response) -> Iterator[tuple[int, str, Any]]:
    fields: dict[str, str] = {}
    for line in answer.iter_lines():
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "data" in fields:
            yield (
                int(fields.get("id", 0)),
                fields.get("event", "message"),
                json.loads(fields["data"]),
            )
            fields = {}


@pytest.mark.variation
def test_F35_a_stream_is_resumed_behind_the_last_event_also_over_a_restart_of_the_gateway(
    running: Stack,
) -> None:
    pace(running, latency_ms=150)
    load = begin(running, LONG)
    events = Events()
    events.read(load, most=2)
    events.read(load, most=2)
    reading = threading.Thread(target=events.read, args=(load,))
    reading.start()
    running["gateway"].restart()
    reading.join()
    while not events.over:
        events.read(load)
    numbers = [number for number, event, _ in events.seen if event == "progress"]
    assert numbers == sorted(set(numbers)), "nothing came twice and nothing went back"
    _, _, sync = events.seen[-1]
    assert sync["state"] == "done"
    steps: dict[str, int] = {}
    for _, event, data in events.seen:
        if event == "progress":
            assert data["items"] >= steps.get(data["resource"], 0)
            steps[data["resource"]] = data["items"]


@pytest.mark.variation
def test_F35_a_reader_that_does_not_read_holds_up_nobody(running: Stack) -> None:
    pace(running, latency_ms=100)
    load = begin(running, LONG)
    with httpx.stream(
        "GET", f"{running.client.url}/v1/syncs/{load.sync}/events", timeout=60, trust_env=False
    ):
        load.done()
        other = begin(running)
        other.done()


@pytest.mark.parametrize("name", ["fetcher1", "gateway", "auth"])
@pytest.mark.variation
def test_F31_a_disk_that_is_full_leaves_nothing_half_written(
    running: Stack, topic: Topic, name: str
) -> None:
    """All writes of the process fail, its log's too; once there is room again it continues."""
    if name == "fetcher1":
        running["fetcher2"].stop()
    pace(running, latency_ms=150)
    held(running)
    load = begin(running, LONG)
    load.under_way()
    with disk_full(running[name]):
        released(running)
        time.sleep(3)
    assert running[name].alive
    pace(running)
    load.done()
    load.clean(topic)
    load.again()
    load.done()


@pytest.mark.variation
def test_F36_a_backlog_is_worked_off_within_bounds_of_memory(running: Stack) -> None:
    """In short: 30,000 messages, of which the gateway holds one batch at a time."""
    load = begin(running)
    load.done()
    bootstrap = running.client.bootstrap
    some = [one for one in log.read(bootstrap, ITEMS) if load.id.encode() in (one.key or b"")]
    running["gateway"].stop()
    log.append(bootstrap, (some[number % len(some)] for number in range(BACKLOG)))
    running["gateway"].start()
    forget_peak(running["gateway"])
    log.caught_up(bootstrap, ITEMS)
    assert peak_mib(running["gateway"]) <= MOST_MIB
    eventually(running.ready)
