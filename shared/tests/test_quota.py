"""Permits never break a window, whoever asks and in whatever order.

A closed window is closed for all.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from heapq import heapify, heappop, heappush
from itertools import count

import pytest
from fakeredis import FakeServer
from fakeredis.aioredis import FakeRedis
from redis.asyncio import Redis

from shared.quota import HORIZON_S, MARGIN_S, Quota, Window, open_redis
from shared.settings import SecretStr
from tests.support.clock import MovableClock
from tests.support.permits import most_within, recorded


class Site:
    """A Redis, real or in this process, and the clients of several fetchers on it."""

    def __init__(self, url: str | None) -> None:
        self._url = None if url is None else SecretStr(url)
        self._server = FakeServer()
        self._clients: list[Redis] = []

    def client(self) -> Redis:
        self._clients.append(
            FakeRedis(server=self._server) if self._url is None else open_redis(self._url)
        )
        return self._clients[-1]

    def quota(self) -> Quota:
        return Quota(self.client())

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()


@pytest.fixture(params=["fakeredis", "redis"])
def url(request: pytest.FixtureRequest) -> str | None:
    return request.getfixturevalue("real_redis") if request.param == "redis" else None


@pytest.fixture
async def site(url: str | None) -> AsyncIterator[Site]:
    site = Site(url)
    await site.client().flushdb()
    yield site
    await site.close()


async def granted_in_an_hour(quota: Quota, window: Window, movable_clock: MovableClock) -> int:
    """Return how many permits an hour gives to one who asks every minute."""
    granted = 0
    for _ in range(60):
        granted += (await quota.permit([window], "c")).granted
        movable_clock.move(seconds=60)
    return granted


async def test_no_window_ever_holds_more_permits_than_it_may(site: Site) -> None:
    quota, window = site.quota(), Window("a", 5, 0.6)
    permits = [await quota.permit([window], "c") for _ in range(30)]
    assert sum(permit.granted for permit in permits) >= 10
    assert most_within(await recorded(site.client(), "a"), window.window_s) <= 5


async def test_windows_stay_exact_when_requests_take_several_of_them_in_any_order(
    site: Site, chance: random.Random
) -> None:
    quota = site.quota()
    narrow, wide = Window("narrow", 2, 0.3), Window("wide", 9, 0.6)
    for _ in range(60):
        await quota.permit(chance.choice([(narrow, wide), (wide,), (wide, narrow)]), "c")
    for window in (narrow, wide):
        moments = await recorded(site.client(), window.key)
        assert most_within(moments, window.window_s) <= (window.requests or 0)


async def test_two_fetchers_share_one_quota(site: Site) -> None:
    window = Window("a", 3, 3_600.0)
    permits = [await quota.permit([window], "c") for quota in (site.quota(), site.quota()) * 4]
    assert sum(permit.granted for permit in permits) == 3
    assert len(await recorded(site.client(), "a")) == 3


async def test_a_time_far_ahead_is_told_and_not_taken(site: Site) -> None:
    quota, window = site.quota(), Window("a", 1, 3_600.0)
    assert (await quota.permit([window], "c")).granted
    for _ in range(3):
        refused = await quota.permit([window], "c")
        assert not refused.granted
        assert HORIZON_S < refused.wait_s <= window.window_s + MARGIN_S


async def test_a_closed_window_gives_nothing_before_its_time_also_to_another_fetcher(
    site: Site,
) -> None:
    first, second, window = site.quota(), site.quota(), Window("a", 100, 1.0)
    await first.close(["a"], 3_600.0)
    await first.close(["a"], 1.0)
    for quota in (first, second):
        refused = await quota.permit([window, Window("b", 100, 1.0)], "c")
        assert not refused.granted
        assert 3_000 < refused.wait_s <= 3_600
        assert 3_000 < await quota.closed(["a"]) <= 3_600
        assert (await quota.permit([Window("b", 100, 1.0)], "c")).wait_s == 0.0


async def test_a_short_closing_is_waited_out_in_place(
    site: Site, movable_clock: MovableClock
) -> None:
    quota, began = site.quota(), time.time()
    await quota.close(["a"], 1.5)
    permit = await quota.permit([Window("a", 100, 1.0)], "c")
    assert permit.granted
    # Redis tells times to a microsecond, rounded.
    assert time.time() + permit.wait_s > began + 1.499
    movable_clock.move(seconds=permit.wait_s + 0.001)
    assert await quota.closed(["a"]) == 0


async def test_a_window_that_is_closed_for_an_hour_opens_when_the_clock_is_moved_there(
    site: Site, movable_clock: MovableClock
) -> None:
    first, second, window = site.quota(), site.quota(), Window("a", 1, 3_600.0)
    assert (await first.permit([window], "c")).granted
    await first.close(["b"], 3_600.0)
    movable_clock.move(seconds=1_800)
    assert not (await second.permit([window], "c")).granted
    assert 900 < await second.closed(["b"]) <= 1_800
    movable_clock.move(seconds=1_801)
    assert (await second.permit([window], "c")).granted
    assert await second.closed(["b"]) == 0


async def test_without_redis_permits_come_at_half_speed_and_closings_hold(
    movable_clock: MovableClock,
) -> None:
    server = FakeServer()
    redis = FakeRedis(server=server)
    quota, window = Quota(redis), Window("a", 10, 3_600.0)
    await quota.close(["closed"], 7_200.0)
    server.connected = False
    assert await granted_in_an_hour(quota, window, movable_clock) == 5
    assert not (await quota.permit([Window("closed", 10, 1.0)], "c")).granted
    await quota.close(["later"], 3_600.0)
    server.connected = True
    assert not (await quota.permit([Window("later", 10, 1.0)], "c")).granted, (
        "what was told while Redis was away holds"
    )
    await redis.aclose()


async def test_a_process_that_was_given_no_redis_counts_for_itself_at_half_speed(
    movable_clock: MovableClock,
) -> None:
    quota, window = Quota(None), Window("a", 10, 3_600.0)
    assert await granted_in_an_hour(quota, window, movable_clock) == 5
    await quota.close(["closed"], 3_600.0)
    assert not (await quota.permit([Window("closed", 10, 1.0)], "c")).granted
    assert await quota.closed(["closed"]) > 3_000


async def test_a_very_large_limit_costs_no_more_than_what_is_used(site: Site) -> None:
    quota, window = site.quota(), Window("a", 1_000_000, 3_600.0)
    permits = [await quota.permit([window], "c") for _ in range(20)]
    assert {permit.wait_s for permit in permits} == {0.0}
    assert await site.client().zcard("quota:a") == 20


HOURLY = Window("a", 60, 3_600.0)
HOURS = 4
ALL = HOURS * HOURLY.careful()[0]


async def used(quota: Quota, clock: MovableClock, jobs: dict[str, list[float]]) -> Counter[str]:
    """Return how many permits of ``HOURLY`` each connection gets in four hours.

    ``jobs`` maps connections to their jobs, and each job to the seconds that its requests take.
    """
    given, numbers, began = Counter[str](), count(), clock.now()
    due = [(0.0, next(numbers), who, lasts) for who, several in jobs.items() for lasts in several]
    heapify(due)
    while due[0][0] < HOURS * 3_600:
        at, _, who, lasts = heappop(due)
        clock.move(seconds=max(0.0, began + at - clock.now()))
        permit = await quota.permit([HOURLY], who)
        given[who] += permit.granted
        asks_again = max(at, clock.now() - began) + permit.wait_s + lasts * permit.granted
        heappush(due, (asks_again, next(numbers), who, lasts))
    return given


async def test_connections_that_share_a_limit_get_equal_parts_of_it(
    site: Site, movable_clock: MovableClock
) -> None:
    given = await used(site.quota(), movable_clock, {"a": [1.0] * 4, "b": [1.0]})
    assert given.total() >= 0.95 * ALL
    assert 0.4 <= given["a"] / given.total() <= 0.6


async def test_what_one_connection_leaves_of_a_shared_limit_is_used_by_the_other(
    site: Site, movable_clock: MovableClock
) -> None:
    given = await used(site.quota(), movable_clock, {"a": [1.0] * 4, "b": [1_800.0]})
    assert given["b"] >= HOURS
    assert given.total() >= 0.9 * ALL


async def test_a_limit_that_an_answer_stated_holds_for_every_fetcher(site: Site) -> None:
    first, second = site.quota(), site.quota()
    await first.learn(Window("a", 3, 3_600.0))
    permits = [await quota.permit([Window("a", 100, 1.0)], "c") for quota in (first, second) * 4]
    assert sum(permit.granted for permit in permits) == 3


async def test_a_fetcher_keeps_to_a_limit_that_it_was_told_though_redis_has_forgotten_it(
    site: Site,
) -> None:
    quota = site.quota()
    await quota.learn(Window("a", 3, 3_600.0))
    await site.client().flushdb()
    permits = [await quota.permit([Window("a", 100, 1.0)], "c") for _ in range(8)]
    assert sum(permit.granted for permit in permits) == 3


async def test_a_limit_without_a_figure_counts_nothing_and_can_be_closed(site: Site) -> None:
    quota, unknown = site.quota(), Window("a", None, 0.0)
    permits = [await quota.permit([unknown], "c") for _ in range(20)]
    assert {(permit.granted, permit.wait_s) for permit in permits} == {(True, 0.0)}
    assert await site.client().keys("quota:*") == []
    await quota.close(["a"], 3_600.0)
    assert not (await quota.permit([unknown], "d")).granted
    assert not (await site.quota().permit([unknown], "d")).granted


async def test_without_redis_a_limit_without_a_figure_counts_nothing_either() -> None:
    quota = Quota(None)
    permits = [await quota.permit([Window("a", None, 0.0)], "c") for _ in range(20)]
    assert {permit.wait_s for permit in permits} == {0.0}
