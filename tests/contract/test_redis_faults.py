"""Redis is emptied, full or gone: each fetcher goes on alone, slower, and shares again later."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis as Client
from redis.exceptions import OutOfMemoryError

from deploy.servers import Redis
from shared.quota import Permit, Quota, Window, open_redis
from shared.settings import SecretStr
from tests.support.clock import MovableClock

WINDOW = Window("a", 10, 1.0)


@pytest.fixture
async def clients(own_redis: Redis) -> AsyncIterator[tuple[Client, Client]]:
    first, second = (open_redis(SecretStr(own_redis.url)) for _ in range(2))
    await first.flushall()
    yield first, second
    for client in (first, second):
        await client.aclose()


def most_within(moments: list[float], window_s: float) -> int:
    def within(start: float) -> int:
        return sum(start <= at < start + window_s for at in moments)

    return max(map(within, moments))


async def granted(*quotas: Quota, asks: int) -> list[float]:
    """Return the moments of the permits when they all ask at once."""

    async def ask(quota: Quota) -> tuple[float, Permit]:
        return time.time(), await quota.permit([WINDOW])

    answers = await asyncio.gather(*(ask(quota) for _ in range(asks) for quota in quotas))
    return sorted(at + permit.wait_s for at, permit in answers if permit.granted)


async def test_two_fetchers_that_ask_at_once_share_one_budget(
    clients: tuple[Client, Client],
) -> None:
    first, second = map(Quota, clients)
    moments = await granted(first, second, asks=20)
    assert len(moments) >= 10
    assert most_within(moments, WINDOW.window_s) == 10


async def test_after_everything_was_forgotten_the_windows_begin_anew(
    clients: tuple[Client, Client],
) -> None:
    first, second = map(Quota, clients)
    await first.close(["a"], 30.0)
    await clients[0].flushall()
    assert not (await first.permit([WINDOW])).granted, "who was told it knows it"
    moments = await granted(second, asks=20)
    assert most_within(moments, WINDOW.window_s) == 10


async def test_a_script_that_the_server_forgot_is_sent_again(
    clients: tuple[Client, Client],
) -> None:
    quota = Quota(clients[0])
    assert (await quota.permit([WINDOW])).granted
    await clients[1].script_flush()
    before = await clients[1].zcard("quota:a")
    assert (await quota.permit([WINDOW])).granted
    assert await clients[1].zcard("quota:a") == before + 1


async def test_a_server_that_is_killed_is_done_without_and_used_again_when_it_is_back(
    movable_clock: MovableClock, own_redis: Redis, clients: tuple[Client, Client]
) -> None:
    first, second = map(Quota, clients)
    await granted(first, second, asks=3)
    await asyncio.to_thread(own_redis.kill)
    moments = await granted(first, asks=20)
    assert 1 <= most_within(moments, 0.999) <= 6, "alone at half speed"
    await second.close(["b"], 30.0)
    assert 29.0 < await second.closed(["b"]) <= 30.0
    await asyncio.to_thread(own_redis.start)
    assert not (await second.permit([Window("b", 10, 1.0)])).granted
    # A connection that broke is found out by using it, alone once more.
    await granted(first, second, asks=3)
    movable_clock.move(seconds=10)
    moments = await granted(first, second, asks=20)
    assert most_within(moments, WINDOW.window_s) == 10, "together again"


async def test_a_server_that_hangs_is_not_waited_for(
    own_redis: Redis, clients: tuple[Client, Client]
) -> None:
    quota = Quota(clients[0])
    assert (await quota.permit([WINDOW])).granted
    await asyncio.to_thread(own_redis.pause)
    try:
        assert (await quota.permit([WINDOW])).granted
    finally:
        await asyncio.to_thread(own_redis.resume)
    assert (await quota.permit([Window("other", 10, 1.0)])).granted


async def test_a_server_without_memory_breaks_no_window_and_a_closing_holds(
    clients: tuple[Client, Client],
) -> None:
    client = clients[1]
    quota = Quota(clients[0])
    await client.config_set("maxmemory-policy", "noeviction")
    await client.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(OutOfMemoryError):
            await client.set("filler", b"x")
        moments = await granted(quota, asks=20)
        assert 1 <= most_within(moments, WINDOW.window_s) <= 10
        await quota.close(["a"], 30.0)
        assert not (await quota.permit([WINDOW])).granted
    finally:
        await client.config_set("maxmemory", "0")
    assert (await quota.permit([Window("b", 10, 1.0)])).granted
    assert await client.zcard("quota:b") == 1
