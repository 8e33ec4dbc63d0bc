"""Permits never break a window, whoever asks and in whatever order.

A closed window is closed for all.
"""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator

import pytest
from fakeredis import FakeServer
from fakeredis.aioredis import FakeRedis
from redis.asyncio import Redis

from shared.quota import HORIZON_S, Permit, Quota, Window, open_redis
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


def times(permits: list[tuple[float, Permit]]) -> list[float]:
    return sorted(asked + permit.wait_s for asked, permit in permits if permit.granted)


async def ask(quota: Quota, *windows: Window) -> tuple[float, Permit]:
    return time.time(), await quota.permit(windows)


async def test_no_window_ever_holds_more_permits_than_it_may(site: Site) -> None:
    quota, window = site.quota(), Window("a", 5, 0.6)
    permits = [(await ask(quota, window))[1] for _ in range(30)]
    assert 10 <= sum(permit.granted for permit in permits) < 30
    assert most_within(await recorded(site.client(), "a"), window.window_s) == 5


async def test_windows_stay_exact_when_requests_take_several_of_them_in_any_order(
    site: Site, chance: random.Random
) -> None:
    quota = site.quota()
    narrow, wide = Window("narrow", 2, 0.3), Window("wide", 9, 0.6)
    for _ in range(60):
        await quota.permit(chance.choice([(narrow, wide), (wide,), (wide, narrow)]))
    for window in (narrow, wide):
        moments = await recorded(site.client(), window.key)
        assert most_within(moments, window.window_s) <= window.requests


async def test_two_fetchers_share_one_quota(site: Site) -> None:
    window = Window("a", 3, 1.0)
    for quota in (site.quota(), site.quota()) * 4:
        await quota.permit([window])
    assert most_within(await recorded(site.client(), "a"), 1.0) == 3


async def test_a_time_far_ahead_is_told_and_not_taken(site: Site) -> None:
    quota, window = site.quota(), Window("a", 1, 30.0)
    assert (await quota.permit([window])).granted
    for _ in range(3):
        refused = await quota.permit([window])
        assert not refused.granted
        assert HORIZON_S < refused.wait_s <= 30.3


async def test_a_closed_window_gives_nothing_before_its_time_also_to_another_fetcher(
    site: Site,
) -> None:
    first, second, window = site.quota(), site.quota(), Window("a", 100, 1.0)
    await first.close(["a"], 20.0)
    await first.close(["a"], 1.0)
    for quota in (first, second):
        refused = await quota.permit([window, Window("b", 100, 1.0)])
        assert not refused.granted
        assert 19.0 < refused.wait_s <= 20.0
        assert 19.0 < await quota.closed(["a"]) <= 20.0
        assert (await quota.permit([Window("b", 100, 1.0)])).wait_s == 0.0


async def test_a_short_closing_is_waited_out_in_place(
    site: Site, movable_clock: MovableClock
) -> None:
    quota = site.quota()
    await quota.close(["a"], 1.5)
    permit = await quota.permit([Window("a", 100, 1.0)])
    assert permit.granted
    assert 0 < permit.wait_s <= 1.5
    movable_clock.move(seconds=permit.wait_s)
    assert await quota.closed(["a"]) <= 0.01


async def test_a_window_that_is_closed_for_an_hour_opens_when_the_clock_is_moved_there(
    site: Site, movable_clock: MovableClock
) -> None:
    first, second, window = site.quota(), site.quota(), Window("a", 1, 3_600.0)
    assert (await first.permit([window])).granted
    await first.close(["b"], 3_600.0)
    movable_clock.move(seconds=3_000)
    assert not (await second.permit([window])).granted
    assert 500 < await second.closed(["b"]) <= 600
    movable_clock.move(seconds=601)
    assert (await second.permit([window])).granted
    assert await second.closed(["b"]) == 0


async def test_without_redis_permits_come_at_half_speed_and_closings_hold() -> None:
    server = FakeServer()
    redis = FakeRedis(server=server)
    quota, window = Quota(redis), Window("a", 10, 1.0)
    await quota.close(["closed"], 20.0)
    server.connected = False
    granted = times([await ask(quota, window) for _ in range(20)])
    assert 5 <= most_within(granted, 0.999) <= 6
    assert not (await quota.permit([Window("closed", 10, 1.0)])).granted
    await quota.close(["later"], 20.0)
    server.connected = True
    assert not (await quota.permit([Window("later", 10, 1.0)])).granted, (
        "what was told while Redis was away holds"
    )
    await redis.aclose()


async def test_a_process_that_was_given_no_redis_counts_for_itself_at_half_speed() -> None:
    quota, window = Quota(None), Window("a", 10, 1.0)
    granted = times([await ask(quota, window) for _ in range(20)])
    assert 5 <= most_within(granted, 0.999) <= 6
    await quota.close(["closed"], 20.0)
    assert not (await quota.permit([Window("closed", 10, 1.0)])).granted
    assert await quota.closed(["closed"]) > 19


async def test_a_very_large_limit_costs_no_more_than_what_is_used(site: Site) -> None:
    quota, window = site.quota(), Window("a", 1_000_000, 10.0)
    permits = [await quota.permit([window]) for _ in range(20)]
    assert {permit.wait_s for permit in permits} == {0.0}
    assert await site.client().zcard("quota:a") == 20
