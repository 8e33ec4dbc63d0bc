"""The gateway and auth are killed between two steps: what was begun is finished, once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import httpx
import pytest

from services.auth.refresh.attempt import ATTEMPT_S
from shared.contracts.topics import SYNCS
from tests.chaos import log
from tests.chaos.load import Load, begin, held, pace
from tests.chaos.stack import HOST, Stack
from tests.chaos.topic import Topic
from tests.support.variations import variations
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

TABLE = {"bases": 1, "tables": 2, "records": 250}
REFRESHES = (
    ("hubspot", "after_refresh_answer"),
    *variations(
        ("hubspot", "before_refresh_send"),
        ("hubspot", "after_refresh_store"),
        ("airtable", "after_refresh_answer"),
        ("airtable", "before_refresh_send"),
        ("airtable", "after_refresh_store"),
    ),
)
CALLERS = 200


def unanswered(ask: Callable[[], object]) -> threading.Thread:
    """Begin a request whose answer nobody will get."""

    def asked() -> None:
        try:
            ask()
        except httpx.HTTPError:
            return

    thread = threading.Thread(target=asked, daemon=True)
    thread.start()
    return thread


def ask_for_a_sync(load: Load) -> threading.Thread:
    url = f"{load.stack.client.url}/v1/connections/{load.id}/syncs"
    return unanswered(lambda: httpx.post(url, json={}, timeout=30, trust_env=False))


def newest_sync(load: Load) -> str:
    return str(load.stack.client.api("GET", f"/v1/connections/{load.id}")["sync_id"])


def token_requests(running: Stack, provider: str) -> int:
    rows = running.client.control("GET", f"{provider}/requests")["items"]
    return sum(row["path"].endswith("/token") and row["method"] == "POST" for row in rows)


def expire(running: Stack) -> None:
    """Expire every access token that the sandbox has issued, which our own clock does not know."""
    running.client.control("POST", "clock", json={"advance_s": 3700})
    for provider in ("hubspot", "airtable"):
        running.client.control("DELETE", f"{provider}/requests")


@pytest.mark.variation
def test_F02_a_sync_that_was_written_down_runs_though_the_gateway_was_killed(
    running: Stack, topic: Topic
) -> None:
    load = begin(running)
    load.done()
    running["gateway"].restart({"TRIBUTARY_FAILPOINT": "after_sync_row"})
    asking = ask_for_a_sync(load)
    running["gateway"].stopped_at("after_sync_row")
    running["gateway"].restart()
    asking.join()
    first, load.sync = load.sync, newest_sync(load)
    assert load.sync != first
    load.done()
    load.clean(topic)


@pytest.mark.variation
def test_F03_a_request_that_was_sent_twice_is_carried_out_once(
    running: Stack, topic: Topic
) -> None:
    """The gateway's relay is killed when Kafka has the message and the outbox still has the row."""
    load = begin(running)
    load.done()
    running["gateway"].restart({"TRIBUTARY_FAILPOINT": "after_relay_send"})
    asking = ask_for_a_sync(load)
    running["gateway"].stopped_at("after_relay_send")
    running["gateway"].restart()
    asking.join()
    load.sync = newest_sync(load)
    load.done()
    log.caught_up(running.client.bootstrap, SYNCS)
    asked = [
        one
        for one in log.read(running.client.bootstrap, SYNCS)
        if load.sync.encode() in (one.value or b"")
    ]
    assert len(asked) == 2
    load.clean(topic)
    assert set(load.pages().values()) == {2}, "every page once for each of the two syncs"


@pytest.mark.variation
def test_F03_a_run_job_that_was_sent_twice_is_run_once(running: Stack, topic: Topic) -> None:
    """The fetcher's relay is killed at the same place: at most the page under way is read again."""
    running["fetcher2"].end()
    running["fetcher1"].end()
    running["fetcher1"].start({"TRIBUTARY_FAILPOINT": "after_relay_send"})
    load = begin(running)
    running["fetcher1"].stopped_at("after_relay_send")
    running["fetcher1"].restart()
    load.done()
    load.clean(topic)
    assert load.refetched() <= len(load.counts)


@pytest.mark.parametrize(("provider", "step"), REFRESHES)
def test_F04_kill_9_of_auth_at_each_step_of_a_refresh(
    running: Stack, topic: Topic, provider: str, step: str
) -> None:
    """One refresh, or two where the first answer was lost; then the token works.

    Where the provider ended the lost pair, it works once consent is renewed.
    """
    load = begin(running, TABLE if provider == "airtable" else None, provider=provider)
    load.done()
    expire(running)
    running["auth"].restart({"TRIBUTARY_FAILPOINT": step})
    load.again()
    running["auth"].stopped_at(step)
    running.clock.move(seconds=ATTEMPT_S + 1)
    running["auth"].restart()
    ended = running.client.synced(load.sync)
    status = running.client.api("GET", f"/v1/connections/{load.id}")["status"]
    lost = step == "after_refresh_answer"
    assert token_requests(running, provider) == (2 if lost else 1)
    if lost and provider == "airtable":
        assert status == "reauth_required"
        load.reconnect()
        load.done()
    else:
        assert (status, ended["state"]) == ("active", "done"), ended
    load.clean(topic)


@pytest.mark.variation
def test_F05_kill_9_of_the_projector_in_the_middle_of_a_batch(running: Stack, topic: Topic) -> None:
    """Rows and positions are one transaction: nothing is there, and all of it comes again."""
    pace(running, latency_ms=100)
    load = begin(running)
    for times in (2, 1, 1):
        running["gateway"].kill()
        running["gateway"].start(
            {"TRIBUTARY_FAILPOINT": f"before_batch_commit:{times}"}, wait=False
        )
        running["gateway"].stopped_at("before_batch_commit")
    running["gateway"].restart()
    load.done()
    report = load.clean(topic)
    assert report.records == report.items


@pytest.mark.parametrize("provider", ["hubspot", *variations("airtable")])
def test_F23_a_refresh_whose_answer_is_lost_is_sent_twice_at_most(
    running: Stack, topic: Topic, provider: str
) -> None:
    load = begin(running, TABLE if provider == "airtable" else None, provider=provider)
    load.done()
    expire(running)
    lost = {"match": {"method": "POST", "path": "*/token"}, "drop": "answer", "times": 1}
    running.client.control("PUT", f"{provider}/faults", json=[lost])
    load.again()
    running.client.synced(load.sync)
    assert token_requests(running, provider) <= 2
    connection = running.client.api("GET", f"/v1/connections/{load.id}")
    if connection["status"] == "reauth_required":
        assert provider == "airtable"
        assert "Reconnect" in connection["reason"]
        load.reconnect()
    load.done()
    load.clean(topic)


def test_F24_two_hundred_callers_at_two_processes_make_one_refresh(running: Stack) -> None:
    load = begin(running)
    load.done()
    expire(running)
    running["auth2"].start()
    secret = (running.data / "service-secret").read_text().strip()

    async def ask() -> list[httpx.Response]:
        headers = {"authorization": f"Bearer {secret}"}
        urls = [
            f"http://{HOST}:{running.port(name)}/connections/{load.id}/token"
            for name in ("auth", "auth2")
        ]
        async with httpx.AsyncClient(headers=headers, timeout=60, trust_env=False) as http:
            held = (await http.post(urls[0], json={})).json()["token_version"]
        body = {"stale_version": held}
        # A full pool may close a connection that it has just handed out: each caller has its own.
        limits = httpx.Limits(max_connections=CALLERS, max_keepalive_connections=0)
        async with httpx.AsyncClient(
            headers=headers, timeout=60, limits=limits, trust_env=False
        ) as http:
            return await asyncio.gather(
                *(http.post(urls[at % 2], json=body) for at in range(CALLERS))
            )

    answers = asyncio.run(ask())
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["access_token"] for answer in answers}) == 1
    assert token_requests(running, "hubspot") == 1


def test_F25_a_grant_that_was_withdrawn_is_not_asked_again_and_a_new_consent_goes_on(
    running: Stack, topic: Topic
) -> None:
    load = begin(running)
    load.done()
    expire(running)
    dead = {
        "match": {"method": "POST", "path": "*/token"},
        "status": 400,
        "body": {"status": "BAD_REFRESH_TOKEN", "error": "invalid_grant", "message": "withdrawn"},
    }
    running.client.control("PUT", "hubspot/faults", json=[dead])
    load.again()
    assert running.client.synced(load.sync)["state"] == "failed"
    connection = running.client.api("GET", f"/v1/connections/{load.id}")
    assert (connection["status"], "Reconnect" in connection["reason"]) == ("reauth_required", True)
    refused = httpx.post(
        f"{running.client.url}/v1/connections/{load.id}/syncs", json={}, timeout=30, trust_env=False
    )
    assert (refused.status_code, refused.json()["code"]) == (409, "reauth_required")
    assert token_requests(running, "hubspot") == 1, "no loop"
    running.client.control("PUT", "hubspot/faults", json=[])
    load.reconnect()
    load.done()
    load.clean(topic)


def test_F26_a_token_that_is_refused_in_the_middle_is_one_refresh_and_the_same_page_again(
    running: Stack, topic: Topic
) -> None:
    pace(running)
    held(running)
    load = begin(running)
    running.client.control("DELETE", "hubspot/requests")
    load.under_way()
    refused = {"match": {"path": "/crm/objects/*/contacts*"}, "status": 401, "times": 1}
    running.client.control(
        "PUT", "hubspot/faults", json=[refused | {"body": {"category": "EXPIRED_AUTHENTICATION"}}]
    )
    eventually(lambda: not running.client.control("GET", "hubspot/faults"), every=0.02)
    load.done()
    load.clean(topic)
    assert token_requests(running, "hubspot") == 1
    assert load.refetched() == 0
