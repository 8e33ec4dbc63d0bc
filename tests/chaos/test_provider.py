"""The provider, or the network to it, fails badly: what was read is whole, the rest is reported."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest

from tests.chaos.load import Load, begin, held, pace, released
from tests.chaos.modes import BlackHole, Drop, HalfClose, Mode, Pass, Reset, Truncate
from tests.chaos.stack import Stack
from tests.chaos.topic import Topic
from tests.support.client import ENDED, is_waiting
from tests.support.variations import variations
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

CONTACTS = {"path": "/crm/objects/*/contacts*", "method": "GET"}
LIMITED = {"status": 429, "body": {"status": "error", "policyName": "SECONDLY", "message": "limit"}}


def order(running: Stack, *faults: dict[str, Any], provider: str = "hubspot") -> None:
    running.client.control("PUT", f"{provider}/faults", json=list(faults))


def resource(load: Load, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(
        row for row in load.state()["resources"] if row["resource"] == name
    )
    return found


def calls(load: Load, path: str) -> list[tuple[float, int]]:
    """Return when each call came (epoch seconds) and how it was answered."""
    return [
        (datetime.fromisoformat(row["at"]).timestamp(), row["status"])
        for row in load.stack.client.control("GET", f"{load.provider}/requests")["items"]
        if row["account"] == load.account and row["method"] == "GET" and path in row["path"]
    ]


@pytest.mark.parametrize(
    ("told", "at_least"),
    [
        ({"Retry-After": "date"}, 0.0),
        *variations(({"Retry-After": "3"}, 3.0), ({"Retry-After": "0"}, 0.0), ({}, 0.0)),
    ],
    ids=["HTTP-date", "seconds", "zero", "absent"],
)
def test_F18_R7_a_429_is_waited_out_as_told(
    running: Stack, topic: Topic, told: dict[str, str], at_least: float
) -> None:
    running.client.control("DELETE", "hubspot/requests")
    earliest = 0.0
    if told.get("Retry-After") == "date":
        earliest = float(int(running.clock.now() + 4))  # such a date has whole seconds
        date = datetime.fromtimestamp(earliest, UTC)
        told = {"Retry-After": format_datetime(date, usegmt=True)}
    order(running, {"match": CONTACTS, "times": 1, "headers": told, **LIMITED})
    load = begin(running)
    load.done()
    load.clean(topic)
    found = calls(load, "/contacts")
    refused = next(at for at, status in found if status == 429)
    after = [at for at, _ in found if at > refused]
    assert after
    # One page of a lane is asked for at a time, so none was on its way when the refusal came.
    assert min(after) >= max(earliest, refused + at_least) - 0.1


@pytest.mark.variation
def test_F18_a_huge_retry_after_is_shown_waited_out_and_holds_up_no_other_connection(
    running: Stack, topic: Topic
) -> None:
    order(running, {"match": CONTACTS, "times": 1, "headers": {"Retry-After": "3600"}, **LIMITED})
    held = begin(running)
    waiting = eventually(lambda: is_waiting(resource(held, "contacts")), every=0.05)
    assert "limit" in waiting["waiting_reason"].lower()
    until = datetime.fromisoformat(waiting["waiting_until"]).timestamp()
    assert until > running.clock.now() + 60
    other = begin(running)
    other.done()
    other.clean(topic)
    running.clock.move(hours=1)
    held.done()
    held.clean(topic)


def test_F18_an_overloaded_notion_is_waited_for(running: Stack, topic: Topic) -> None:
    away = {
        "match": {"path": "/v1/search"},
        "status": 529,
        "headers": {"Retry-After": "1"},
        "times": 2,
    }
    order(
        running,
        away | {"body": {"object": "error", "status": 529, "code": "overloaded"}},
        provider="notion",
    )
    load = begin(running, {"pages": 40, "data_sources": 2, "users": 5}, provider="notion")
    load.done()
    load.clean(topic)


@pytest.mark.parametrize("status", [503, *variations(500, 502, 504)])
def test_F19_server_errors_and_their_html_are_tried_again(
    running: Stack, topic: Topic, status: int
) -> None:
    order(
        running,
        {"match": CONTACTS, "status": status, "body": "<html><h1>Oops</h1></html>", "times": 3},
    )
    load = begin(running)
    load.done()
    load.clean(topic)


def test_F19_a_provider_that_is_away_for_half_an_hour_is_waited_for(
    running: Stack, topic: Topic
) -> None:
    pace(running, latency_ms=100)
    held(running)
    load = begin(running)
    load.under_way()
    order(running, {"match": {"path": "/crm/*"}, "status": 503, "body": "away"})
    eventually(lambda: load.state()["state"] == "waiting", every=0.05)
    refused = len(calls(load, "/contacts"))
    running.clock.move(seconds=1800)
    eventually(lambda: len(calls(load, "/contacts")) > refused, every=0.05)
    order(running)
    eventually(lambda: over_after_minutes(running, load), every=0.5)
    load.done()
    load.clean(topic)
    assert load.refetched() <= len(load.counts)


def over_after_minutes(running: Stack, load: Load) -> bool:
    """Let five minutes pass, the longest wait: what was asked again just before waits once more."""
    running.clock.move(seconds=300)
    return load.state()["state"] in ENDED


def test_F19_what_stays_away_fails_in_words_and_the_others_are_done(running: Stack) -> None:
    order(running, {"match": CONTACTS, "status": 503, "body": "away"})
    load = begin(running)
    eventually(lambda: is_waiting(resource(load, "contacts")), every=0.05)
    others = ("companies", "deals")
    eventually(lambda: {resource(load, name)["state"] for name in others} == {"done"}, every=0.05)
    running.clock.move(days=2)
    assert running.client.synced(load.sync)["state"] == "incomplete"
    detail = resource(load, "contacts")["error"]["detail"]
    assert detail.startswith("Gave up after trying for 48 hours. The last answer: HubSpot is not")


@contextmanager
def bad_network(running: Stack, both: Mode | None = None, **ways: Mode) -> Iterator[Load]:
    """Yield a load in whose middle the network has become bad."""
    pace(running, latency_ms=100)
    held(running)
    load = begin(running)
    load.under_way()
    with running.proxies["sandbox"].being(both, **ways):
        released(running)
        yield load


@pytest.mark.parametrize(
    "ways",
    [
        {"both": BlackHole()},
        *variations(
            {"both": Pass(delay_s=0.3, jitter_s=0.3)},
            {"to_client": BlackHole()},
            {"both": Drop()},
        ),
    ],
    ids=["black hole", "slow", "answers lost", "dropped"],
)
def test_F20_a_network_that_hangs_delays_and_loses_nothing(
    running: Stack, topic: Topic, ways: dict[str, Mode]
) -> None:
    with bad_network(running, **ways) as load:
        time.sleep(2)
    load.done()
    load.clean(topic)


@pytest.mark.parametrize(
    "ways",
    [
        {"to_client": Truncate(after=30_000)},
        *variations(
            {"both": Reset()},
            {"to_client": HalfClose()},
            {"to_client": Truncate(after=150)},
        ),
    ],
    ids=["cut in the body", "RST", "FIN", "cut in the headers"],
)
def test_F21_an_answer_that_is_cut_off_is_never_half_a_page(
    running: Stack, topic: Topic, ways: dict[str, Mode]
) -> None:
    with bad_network(running, **ways) as load:
        time.sleep(1)
    load.done()
    load.clean(topic)


@pytest.mark.variation
def test_F22_a_name_that_does_not_resolve_is_said_and_tried_again(running: Stack) -> None:
    for name in running.fetchers:
        running[name].end()
    running["fetcher1"].start({"TRIBUTARY_HUBSPOT_API_URL": "http://nowhere.invalid"})
    load = begin(running)
    waiting = eventually(lambda: is_waiting(resource(load, "deals")), every=0.05)
    assert waiting["waiting_reason"]
    running["fetcher1"].restart()
    load.done()


@pytest.mark.variation
def test_F27_a_missing_scope_fails_its_own_resource_only(running: Stack) -> None:
    scope = "crm.objects.contacts.read"
    body = {
        "status": "error",
        "category": "MISSING_SCOPES",
        "message": "missing",
        "errors": [{"message": "missing", "context": {"requiredGranularScopes": [scope]}}],
    }
    order(running, {"match": CONTACTS, "status": 403, "body": body})
    load = begin(running)
    assert running.client.synced(load.sync)["state"] == "incomplete"
    assert resource(load, "contacts")["error"]["scope"] == scope
    assert [resource(load, name)["state"] for name in ("companies", "deals")] == ["done", "done"]
    assert (
        len(list(running.client.items(load.id))) == load.counts["companies"] + load.counts["deals"]
    )


def test_F28_an_expired_cursor_starts_again_and_counts_nothing_twice(
    running: Stack, topic: Topic
) -> None:
    pace(running, provider="airtable", latency_ms=100)
    load = begin(running, {"bases": 1, "tables": 2, "records": 900}, provider="airtable")
    eventually(lambda: resource(load, "records")["items"] > 100, every=0.02)
    gone = {"error": {"type": "LIST_RECORDS_ITERATOR_NOT_AVAILABLE", "message": "gone"}}
    order(
        running,
        {"match": {"path": "/v0/app*"}, "status": 422, "body": gone, "times": 1},
        provider="airtable",
    )
    load.done()
    report = load.clean(topic)
    assert report.records == report.items
    assert resource(load, "records")["items"] == load.counts["records"]
    assert load.refetched() > 0, "the fault did not come in the middle of a table"


@pytest.mark.variation
def test_F29_what_exists_all_the_while_is_not_missed_when_other_objects_come_and_go(
    running: Stack, topic: Topic
) -> None:
    pace(running, latency_ms=150)
    held(running)
    load = begin(running)
    before = {
        name: running.client.ledger("hubspot", load.account, name).keys() for name in load.counts
    }
    load.under_way()
    for _ in range(3):
        load.change(archive=0.03, create=0.03, update=0.05)
    released(running)
    load.done()
    for name in load.counts:
        lasting = before[name] & running.client.ledger("hubspot", load.account, name).keys()
        assert lasting <= {item["id"] for item in running.client.items(load.id, name)}
    pace(running)
    load.again()
    load.done()
    load.clean(topic)


@pytest.mark.variation
def test_F30_more_than_ten_thousand_objects_of_a_type_all_arrive(
    running: Stack, topic: Topic
) -> None:
    load = begin(running, {"contacts": 10_500})
    load.done()
    report = load.clean(topic)
    assert report.items == report.records == 10_500
