"""Redis is emptied, full or gone: each fetcher goes on alone, slower, and shares again later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis as Client
from redis.exceptions import OutOfMemoryError

from deploy.servers import Redis
from shared.quota import Permit, Quota, Window, open_redis
from shared.settings import SecretStr
from tests.support.clock import MovableClock

WINDOW = Window("a", 10, 3_600.0)
"""Longer than any test, so that nothing depends on how fast the machine is."""


@pytest.fixture
async def clients(own_redis: Redis) -> AsyncIterator[tuple[Client, Client]]:
    first, second = (open_redis(SecretStr(own_redis.url)) for _ in range(2))
    await first.flushall()
    yield first, second
    for client in (first, second):
        await client.aclose()


async def granted(*quotas: Quota, asks: int) -> list[Permit]:
    """Return the permits that are granted when they all ask at once."""
    answers = await asyncio.gather(
        *(quota.permit([WINDOW], "c") for _ in range(asks) for quota in quotas)
    )
    return [permit for permit in answers if permit.granted]


async def test_two_fetchers_that_ask_at_once_share_one_budget(
    clients: tuple[Client, Client],
) -> None:
    first, second = map(Quota, clients)
    assert len(await granted(first, second, asks=20)) == 10


async def test_after_everything_was_forgotten_the_windows_begin_anew(
    clients: tuple[Client, Client],
) -> None:
    first, second = map(Quota, clients)
    await first.close(["a"], 3_600.0)
    await clients[0].flushall()
    assert not (await first.permit([WINDOW], "c")).granted, "who was told it knows it"
    assert len(await granted(second, asks=20)) == 10


async def test_a_script_that_the_server_forgot_is_sent_again(
    clients: tuple[Client, Client],
) -> None:
    quota = Quota(clients[0])
    assert (await quota.permit([WINDOW], "c")).granted
    await clients[1].script_flush()
    before = await clients[1].zcard("quota:a")
    assert (await quota.permit([WINDOW], "c")).granted
    assert await clients[1].zcard("quota:a") == before + 1


async def test_a_server_that_is_killed_is_done_without_and_used_again_when_it_is_back(
    movable_clock: MovableClock, own_redis: Redis, clients: tuple[Client, Client]
) -> None:
    first, second = map(Quota, clients)
    await granted(first, second, asks=3)
    await asyncio.to_thread(own_redis.kill)
    assert len(await granted(first, asks=20)) == 1, "alone at half speed: one in twelve minutes"
    await second.close(["b"], 3_600.0)
    assert 3_000 < await second.closed(["b"]) <= 3_600
    await asyncio.to_thread(own_redis.start)
    assert not (await second.permit([Window("b", 10, 1.0)], "c")).granted
    # Each connection of the pools broke. It is found out by using it, alone once more.
    await granted(first, second, asks=20)
    movable_clock.move(hours=2)
    assert len(await granted(first, second, asks=20)) == 10, "together again"


async def test_a_server_that_hangs_is_not_waited_for(
    own_redis: Redis, clients: tuple[Client, Client]
) -> None:
    quota = Quota(clients[0])
    assert (await quota.permit([WINDOW], "c")).granted
    await asyncio.to_thread(own_redis.pause)
    try:
        assert (await quota.permit([WINDOW], "c")).granted
    finally:
        await asyncio.to_thread(own_redis.resume)
    assert (await quota.permit([Window("other", 10, 1.0)], "c")).granted


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
        assert 1 <= len(await granted(quota, asks=20)) <= 10
        await quota.close(["a"], 3_600.0)
        assert not (await quota.permit([WINDOW], "c")).granted
    finally:
        await client.config_set("maxmemory", "0")
    assert (await quota.permit([Window("b", 10, 1.0)], "c")).granted
    assert await client.zcard("quota:b") == 1
