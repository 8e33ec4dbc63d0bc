"""The system's PostgreSQL and Redis: data that stays, and passwords that are checked."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import asyncpg
import pytest
import redis

from deploy.servers import Postgres, ProgramUnavailable, Redis


async def ask(url: str, question: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


def test_what_was_committed_is_there_after_kill_9_under_the_same_url(
    own_postgres: Postgres,
) -> None:
    before = own_postgres.url
    asyncio.run(ask(before, "CREATE TABLE things AS SELECT 7 AS number"))
    own_postgres.kill()
    assert not own_postgres.ready()
    own_postgres.start()
    assert own_postgres.url == before
    assert asyncio.run(ask(before, "SELECT number FROM things")) == 7


def test_a_stop_sends_its_clients_away_and_does_not_wait_for_them(own_postgres: Postgres) -> None:
    async def stop_under_a_client() -> None:
        connection = await asyncpg.connect(own_postgres.url)
        assert await asyncio.to_thread(own_postgres.stop)
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await connection.fetchval("SELECT 1")
        connection.terminate()

    asyncio.run(stop_under_a_client())
    own_postgres.start()


def test_a_wrong_password_is_refused_by_postgresql(own_postgres: Postgres) -> None:
    user, at, place = own_postgres.url.partition("@")
    with pytest.raises(asyncpg.InvalidPasswordError):
        asyncio.run(ask(f"{user}x{at}{place}", "SELECT 1"))


def test_texts_are_utf_8_and_sort_by_code_point(own_postgres: Postgres) -> None:
    assert asyncio.run(ask(own_postgres.url, "SHOW server_encoding")) == "UTF8"
    assert asyncio.run(ask(own_postgres.url, "SELECT 'Z' < 'a'")) is True


def test_the_password_is_for_its_owner_only(own_postgres: Postgres) -> None:
    file = own_postgres.data.with_name(f"{own_postgres.data.name}-password")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() in own_postgres.url
    assert file.read_text() not in Path(f"/proc/{own_postgres.pid}/cmdline").read_text()


def test_data_of_another_version_are_left_alone(own_postgres: Postgres, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "PG_VERSION").write_text("9\n")
    other = Postgres(data)
    with pytest.raises(ProgramUnavailable, match="was made by PostgreSQL 9"):
        other.start()
    other.close()
    assert [entry.name for entry in data.iterdir()] == ["PG_VERSION"]


def test_redis_is_empty_after_kill_9_and_asks_for_the_same_password(own_redis: Redis) -> None:
    before = own_redis.url
    with redis.Redis.from_url(before) as client:
        client.set("a", "1")
    own_redis.kill()
    own_redis.start()
    assert own_redis.url == before
    with redis.Redis.from_url(before) as client:
        assert client.dbsize() == 0
    with (
        redis.Redis(port=own_redis.port.number) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()


def test_neither_of_them_is_root(own_postgres: Postgres, own_redis: Redis) -> None:
    assert Path(f"/proc/{own_postgres.pid}").stat().st_uid != 0
    assert Path(f"/proc/{own_redis.pid}").stat().st_uid != 0
