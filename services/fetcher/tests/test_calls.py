"""A provider's answer decides the fate of the job that asked, and of no other."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from services.fetcher.tests.crashing import PROVIDER
from services.fetcher.tests.stall import Market
from shared.contracts.auth import ErrorBody
from shared.contracts.progress import JobProgress
from shared.contracts.topics import ITEMS, JOBS
from tests.support.waiting import turns, until

Answers = Callable[[], httpx.Response]


@pytest.fixture
async def market(tmp_path: Path) -> AsyncIterator[Market]:
    market = Market(tmp_path)
    await market.open()
    yield market
    await market.close()


async def loaded(market: Market) -> dict[str, JobProgress]:
    await market.fetcher.connect(1)
    await market.fetcher.run_until_over()
    return {resource: told for (_, resource), told in market.fetcher.newest_progress().items()}


def on(
    path: str, make: Answers, *, times: int = 1000
) -> Callable[[httpx.Request], httpx.Response | None]:
    left = [times]

    def fault(request: httpx.Request) -> httpx.Response | None:
        if path not in str(request.url) or not left[0]:
            return None
        left[0] -= 1
        return make()

    return fault


def json_bytes(body: bytes, **headers: str) -> Answers:
    named = {
        "content-type": "application/json",
        **{name.replace("_", "-"): text for name, text in headers.items()},
    }
    return lambda: httpx.Response(200, content=body, headers=named)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        pytest.param(
            json_bytes(b'{"rows":["' + b"x" * (2 << 20) + b'"]}'),
            "page_too_large",
            id="T18 too large",
        ),
        pytest.param(
            json_bytes(b"[" * 100_000 + b"]" * 100_000), "malformed_page", id="T19 too deep"
        ),
        pytest.param(json_bytes(b'{"rows": ['), "malformed_page", id="T19 cut off"),
        pytest.param(json_bytes(b""), "malformed_page", id="T19 empty"),
        pytest.param(
            json_bytes(gzip.compress(b" " * (64 << 20)), content_encoding="gzip"),
            "page_too_large",
            id="T20 bomb",
        ),
        pytest.param(
            json_bytes(b"{}", content_encoding="br"), "bad_body", id="T20 another encoding"
        ),
        pytest.param(
            lambda: httpx.Response(200, html="<h1>Log in</h1>"),
            "malformed_page",
            id="T21 captive page",
        ),
        pytest.param(
            json_bytes(b'{"rows": null, "next": null}'), "internal", id="T21 of another shape"
        ),
    ],
)
async def test_T18_T19_T20_a_page_that_cannot_be_read_fails_its_job_with_a_code_and_no_other(
    market: Market, answer: Answers, code: str
) -> None:
    market.stall.faults.append(on("/apples", answer))
    # Jobs that have to wait are then deferred, and the test lets that time pass at once.
    market.fetcher.context.stopping.set()
    market.fetcher.lose_patience()
    told = await loaded(market)
    assert told["apples"].state == "failed"
    assert told["apples"].error is not None
    assert told["apples"].error.code == code
    assert (told["pears"].state, told["pears"].items) == ("done", 4)


async def test_a_401_in_the_middle_refreshes_once_and_asks_for_the_same_page_again(
    market: Market,
) -> None:
    await loaded(market)
    market.stall.asked.clear()
    market.stall.token = "token-2"
    market.auth.version = 1
    await market.fetcher.ask("again")
    await market.fetcher.run_until_over()
    assert [refused for refused in market.auth.asked if refused is not None] == [
        1
    ] * market.auth.asked.count(1)
    assert market.auth.version == 2
    statuses = [(url.rpartition("/")[2], status) for _, url, status in market.stall.asked]
    assert statuses.count(("apples?from=0", 401)) == 1
    assert statuses.count(("apples?from=0", 200)) == 1
    assert {told.state for told in market.fetcher.newest_progress().values()} == {"done"}


async def test_a_401_that_new_tokens_do_not_cure_fails_the_job_in_the_end(
    market: Market,
) -> None:
    market.fetcher.lose_patience()
    market.stall.faults.append(on("/apples", lambda: httpx.Response(401, json={})))
    told = await loaded(market)
    assert (told["apples"].state, told["apples"].error.code if told["apples"].error else "") == (
        "failed",
        "fresh_token_refused",
    )
    assert [status for _, url, status in market.stall.asked if "apples" in url] == [401, 401]
    assert told["pears"].state == "done"


async def test_a_new_token_that_is_refused_for_a_moment_costs_no_load(market: Market) -> None:
    market.stall.faults.append(on("/apples", lambda: httpx.Response(401, json={}), times=2))
    assert {one.state for one in (await loaded(market)).values()} == {"done"}


async def test_a_connection_that_must_be_connected_again_says_so(market: Market) -> None:
    market.auth.refused = ErrorBody(code="reauth_required", detail="Connect the account again.")
    told = await loaded(market)
    assert {one.state for one in told.values()} == {"failed"}
    errors = [one.error for one in told.values()]
    assert {error and error.code for error in errors} == {"reauth_required"}
    assert market.stall.asked == []


async def test_a_403_names_the_scope_and_the_other_resources_finish(market: Market) -> None:
    market.stall.faults.append(
        on("/apples", lambda: httpx.Response(403, json={"scope": "apples.read"}))
    )
    told = await loaded(market)
    assert told["apples"].error is not None
    assert (told["apples"].error.code, told["apples"].error.scope) == (
        "missing_scope",
        "apples.read",
    )
    assert told["pears"].state == "done"


async def test_a_429_parks_its_lane_and_all_others_of_the_bucket_until_its_time(
    market: Market,
) -> None:
    late = on(
        "from=0", lambda: httpx.Response(429, json={}, headers={"retry-after": "30"}), times=1
    )
    market.stall.faults.append(late)
    await market.fetcher.connect(1)
    for _ in range(4):
        await market.fetcher.time_passes()  # for the messages, not for the provider
        await market.fetcher.relay_once()
        while market.fetcher.read < len(market.fetcher.log.of(JOBS)):
            await market.fetcher.deliver()
            await market.fetcher.settle()
    await market.fetcher.relay_once()
    assert [status for _, _, status in market.stall.asked] == [429]
    told = market.fetcher.newest_progress()
    assert {one.state for one in told.values()} == {"waiting"}
    assert {"limit" in (one.waiting_reason or "") for one in told.values()} == {True}
    assert {job.attempts for job in await market.fetcher.all_jobs()} == {0}


async def test_a_short_429_is_waited_out_and_nobody_asks_before(market: Market) -> None:
    wait = on(
        "from=0", lambda: httpx.Response(429, json={}, headers={"retry-after": "0.4"}), times=1
    )
    market.stall.faults.append(wait)
    await market.fetcher.connect(1)
    await market.fetcher.relay_once()
    await market.fetcher.deliver()
    await until(lambda: market.stall.asked, every=0)
    await turns(20)
    await market.fetcher.run_until_over()
    assert {one.state for one in market.fetcher.newest_progress().values()} == {"done"}
    (refused, _, status), *later = market.stall.asked
    assert status == 429
    assert min(at for at, _, _ in later) - refused >= 0.4


async def test_a_request_that_waits_for_its_turn_is_stopped_by_a_429_meanwhile(
    tmp_path: Path,
) -> None:
    market = Market(tmp_path)
    await market.open()
    market.stall.limit = 1
    call_s = 1.0
    quota = market.fetcher.context.quota
    key = "orchard:all:c:a"
    await quota.close([key], call_s)
    await market.fetcher.connect(1)
    await market.fetcher.relay_once()
    while market.fetcher.read < len(market.fetcher.log.of(JOBS)):
        await market.fetcher.deliver()

    async def both_wait() -> bool:
        return await market.redis.zcard(f"quota:{key}") == 2

    await until(both_wait, every=0)
    await quota.close([key], 20.0)
    await market.fetcher.settle()
    assert market.stall.asked == []
    assert {job.state for job in await market.fetcher.unfinished()} == {"waiting"}
    await market.close()


async def test_an_expired_cursor_reads_the_resource_from_its_start_and_doubles_nothing(
    market: Market,
) -> None:
    market.stall.faults.append(on("/apples?from=2", lambda: httpx.Response(410, json={}), times=1))
    told = await loaded(market)
    assert (told["apples"].state, told["apples"].items) == ("done", 4)
    assert all(kinds == [True] for kinds in market.fetcher.sent(ITEMS).values())


async def test_a_provider_that_comes_back_is_no_failure(market: Market) -> None:
    market.stall.faults.append(on("/apples", lambda: httpx.Response(503, text="busy"), times=3))
    market.fetcher.context.stopping.set()
    told = await loaded(market)
    assert (told["apples"].state, told["apples"].items) == ("done", 4)


async def test_the_limit_that_an_answer_tells_replaces_the_one_that_was_known(
    market: Market,
) -> None:
    market.stall.limit = 4
    await loaded(market)
    assert PROVIDER.buckets[0].requests == 1000
    asked = len(market.stall.asked)
    await market.fetcher.ask("again")
    await market.fetcher.relay_once()
    while market.fetcher.read < len(market.fetcher.log.of(JOBS)):
        await market.fetcher.deliver()
    await market.fetcher.settle()
    assert len(market.stall.asked) == asked
    waiting = [
        job.waiting_reason or ""
        for job in await market.fetcher.unfinished()
        if job.state == "waiting"
    ]
    assert ["rate limit" in reason for reason in waiting] == [True, True]


async def test_a_web_page_of_the_network_is_no_missing_scope_and_passes(market: Market) -> None:
    edge = on("/apples", lambda: httpx.Response(403, html="<h1>Access denied</h1>"), times=3)
    market.stall.faults.append(edge)
    market.fetcher.context.stopping.set()
    await market.fetcher.connect(1)
    await market.fetcher.relay_once()
    while market.fetcher.read < len(market.fetcher.log.of(JOBS)):
        await market.fetcher.deliver()
        await market.fetcher.settle()
    waiting = [job for job in await market.fetcher.unfinished() if job.state == "waiting"]
    assert [job.waiting_reason for job in waiting] == [
        "The network in front of Orchard answered with a web page (status 403) instead of the API."
    ]
    assert [job.waiting_code for job in waiting] == ["not_the_api"]
    await market.fetcher.run_until_over()
    told = market.fetcher.newest_progress()["sync-1", "apples"]
    assert (told.state, told.items) == ("done", 4)
