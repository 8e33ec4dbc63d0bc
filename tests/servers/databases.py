"""Give a module of tests its own part of a shared server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import redis


@contextmanager
def database_of_its_own(url: str) -> Iterator[str]:
    """Yield a new database; the role of ``url`` has to be allowed to create databases."""
    name = f"test_{uuid4().hex[:12]}"
    asyncio.run(_execute(url, f"CREATE DATABASE {name}"))
    try:
        yield urlsplit(url)._replace(path=f"/{name}").geturl()
    finally:
        asyncio.run(_execute(url, f"DROP DATABASE {name} WITH (FORCE)"))


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def emptied(url: str) -> str:
    """Empty the database with the worker's number: a worker runs its modules one after another."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    own = urlsplit(url)._replace(path=f"/{worker}").geturl()
    with redis.Redis.from_url(own) as client:
        client.flushdb()
    return own
