"""Workers die, hang, come and go: another one takes over, and late writes do not count."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping

import pytest

from tests.chaos.load import PAGE, Load, begin, pace
from tests.chaos.stack import Stack
from tests.chaos.topic import Topic
from tests.support.client import ENDED
from tests.support.variations import variations
from tests.support.waiting import PATIENCE_S, eventually

pytestmark = pytest.mark.e2e

SENDING = variations("after_items", "after_page", "after_record_pending")
STEPS = (
    "after_items",
    *variations("after_claim", "before_fetch", "after_page"),
    *variations("after_record_pending", "after_checkpoint", "before_commit"),
)
LONG = {"companies": 1500, "contacts": 1500, "deals": 1500}


def alone_and_paused(running: Stack, point: str, counts: Mapping[str, int] | None = None) -> Load:
    """Yield a load whose only worker is paused at this point."""
    for name in running.fetchers:
        running[name].end()
    running["fetcher1"].start({"TRIBUTARY_FAILPOINT": point})
    load = begin(running, counts)
    running["fetcher1"].stopped_at(point.partition(":")[0])
    return load


@pytest.mark.parametrize("point", STEPS)
def test_F01_kill_9_of_a_worker_between_any_two_steps(
    running: Stack, topic: Topic, point: str
) -> None:
    """R3: per running job, at most one page is read again. ``make chaos`` measures how soon."""
    load = alone_and_paused(running, point)
    running["fetcher2"].start()
    running["fetcher1"].kill()
    load.done()
    load.clean(topic)
    again = load.pages()
    assert max(again.values()) <= 2, again
    lanes = [path for (path, _), times in again.items() if times > 1]
    assert len(lanes) == len(set(lanes)), f"more than one page of a job was read again: {lanes}"


def one_of_two_paused(running: Stack, point: str) -> list[Load]:
    """Yield loads, at least one of them held by fetcher1, paused at this point; fetcher2 works on.

    fetcher2 came first and relays the outbox. A paused leader loses the lead on PostgreSQL only: on
    SQLite the lead is a lock of the kernel's.
    """
    for name in running.fetchers:
        running[name].end()
    running["fetcher2"].start()
    running["fetcher1"].start({"TRIBUTARY_FAILPOINT": point})
    loads = [begin(running)]
    end = time.monotonic() + PATIENCE_S
    while running["fetcher1"].state != "T":
        assert time.monotonic() < end, "fetcher1 was given no job"
        if loads[-1].state()["state"] in ENDED:
            loads.append(begin(running))
    running["fetcher1"].stopped_at(point)
    return loads


@pytest.mark.parametrize("point", SENDING)
def test_F17_a_paused_worker_that_wakes_up_changes_nothing(
    running: Stack, topic: Topic, point: str
) -> None:
    """The worker appends what it read before losing its job; readers get the newer content."""
    load = one_of_two_paused(running, point)[-1]
    load.done()
    load.change(update=0.5, archive=0.04, create=0.02)
    load.again()
    load.done()
    load.clean(topic)
    before = list(running.client.items(load.id))
    zombie = running["fetcher1"]
    zombie.resume()
    eventually(lambda: not zombie.alive or "claim_lost" in zombie.said())
    load.becomes_clean(topic)
    shown = {(item["resource"], item["id"]): item for item in running.client.items(load.id)}
    assert shown.keys() == {(item["resource"], item["id"]) for item in before}
    for item in before:
        now = shown[item["resource"], item["id"]]
        assert now["version"] >= item["version"]
        assert now["modified_at"] == item["modified_at"]


@pytest.mark.variation
def test_F15_workers_that_join_and_leave_lose_nothing_and_read_little_twice(
    running: Stack, topic: Topic
) -> None:
    """R8 in short; ``python -m tests.chaos`` measures all of it."""
    pace(running, latency_ms=100)
    loads = [begin(running, LONG) for _ in range(2)]
    for number in range(6):
        name = running.spare[number % 2]
        if running[name].alive:
            running[name].stop()
        else:
            running[name].start()
    for load in loads:
        load.done()
        load.clean(topic)
    assert sum(load.refetched() for load in loads) <= 0.05 * sum(
        len(load.pages()) for load in loads
    )


@pytest.mark.parametrize("twice", [False, *variations(True)], ids=["SIGTERM", "SIGTERM twice"])
def test_F33_a_stop_in_the_middle_of_a_page_is_quick_and_nothing_is_read_again(
    running: Stack, topic: Topic, *, twice: bool
) -> None:
    """R5: the page is finished or rolled back, offsets are committed, nothing is redelivered."""
    running["fetcher2"].stop()
    pace(running, latency_ms=300)
    load = begin(running, {"companies": 600, "contacts": 600, "deals": 600})
    load.under_way()
    fetcher = running["fetcher1"]
    fetcher.terminate()
    if twice:
        fetcher.terminate()
    assert fetcher.wait() == 0
    pace(running)
    fetcher.start()
    load.done()
    load.clean(topic)
    assert load.refetched() == 0


@pytest.mark.variation
def test_F33_a_stop_during_a_wait_does_not_wait(running: Stack, topic: Topic) -> None:
    running["fetcher2"].stop()
    away = {
        "match": {"path": "/crm/objects/*"},
        "status": 503,
        "headers": {"Retry-After": "1.9"},
        "times": 4,
    }
    running.client.control("PUT", "hubspot/faults", json=[away])
    load = begin(running)
    eventually(lambda: not running.client.control("GET", "hubspot/faults"), every=0.02)
    running["fetcher1"].stop(signal.SIGTERM)
    running["fetcher1"].start()
    load.done()
    load.clean(topic)


def test_F37_what_is_disconnected_while_it_syncs_stops_and_is_gone_everywhere(
    running: Stack, topic: Topic
) -> None:
    """The worker holds a page while the account is disconnected, and sends it afterwards.

    It reads on until it hears of it. The provider is slow, so that it has long heard by the end.
    """
    pace(running, latency_ms=300)
    load = alone_and_paused(running, "after_record_pending:3", LONG)
    running.client.api("DELETE", f"/v1/connections/{load.id}")
    assert list(running.client.items(load.id)) == []
    running["fetcher1"].resume()

    def gone() -> bool:
        topic.read_on()
        kept = {(record.resource, record.id): record for record in topic.records.get(load.id, [])}
        return bool(kept) and all(record.content is None for record in kept.values())

    eventually(gone)
    assert sum(load.pages().values()) < sum(LONG.values()) / PAGE, "it went on reading"
    assert list(running.client.items(load.id)) == []
    assert load.state()["state"] in ENDED


def test_F17_a_paused_worker_that_relayed_for_all_is_relieved(running: Stack, topic: Topic) -> None:
    if running.kind == "local":
        pytest.skip("on SQLite the lead is a lock of the kernel's, which a stopped process keeps")
    load = alone_and_paused(running, "after_items")
    running["fetcher2"].start()
    load.done()
    load.clean(topic)
    running["fetcher1"].resume()
    load.becomes_clean(topic)
