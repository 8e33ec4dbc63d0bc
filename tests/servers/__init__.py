"""Provide real servers for tests: one Kafka, PostgreSQL and Redis per test run.

The workers of a run share them. A test that needs one that cannot be found or downloaded is
skipped, with the reason. Servers of the environment are used instead where ``TRIBUTARY_TEST_KAFKA``
(host:port), ``TRIBUTARY_TEST_DATABASE_URL`` or ``TRIBUTARY_TEST_REDIS_URL`` is set.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from deploy.kafka import Kafka
from deploy.servers import Postgres, ProgramUnavailable, Redis
from tests.servers.databases import database_of_its_own, emptied
from tests.servers.places import place, schema
from tests.servers.shared import Shared, run_folder

__all__ = [
    "own_kafka",
    "own_postgres",
    "own_redis",
    "place",
    "real_kafka",
    "real_postgres",
    "real_redis",
    "schema",
]

GIVEN = {
    "kafka": "TRIBUTARY_TEST_KAFKA",
    "postgres": "TRIBUTARY_TEST_DATABASE_URL",
    "redis": "TRIBUTARY_TEST_REDIS_URL",
}


@pytest.fixture(scope="session")
def shared_servers() -> Iterator[Shared]:
    with Shared(run_folder()) as shared:
        yield shared


@pytest.fixture(scope="session")
def real_kafka(shared_servers: Shared) -> str:
    """Return ``host:port`` of the run's broker; use topic and group names that nobody else has."""
    return _server(shared_servers, "kafka")


@pytest.fixture(scope="module")
def real_postgres(shared_servers: Shared) -> Iterator[str]:
    """Return the URL of an empty database for this module alone."""
    with database_of_its_own(_server(shared_servers, "postgres")) as url:
        yield url


@pytest.fixture(scope="module")
def real_redis(shared_servers: Shared) -> str:
    """Return the URL of this worker's own database, emptied for the module."""
    return emptied(_server(shared_servers, "redis"))


@pytest.fixture(scope="module")
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """Yield a broker for this module alone, to be killed or for fixed topic names; slow."""
    with ExitStack() as stack:
        kafka = Kafka(tmp_path_factory.mktemp("kafka"), brief=True)
        stack.callback(kafka.close)
        _started(kafka)
        yield kafka


@pytest.fixture(scope="module")
def own_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """Yield a server for this module alone, to be killed."""
    with ExitStack() as stack:
        postgres = Postgres(tmp_path_factory.mktemp("postgres") / "data", durable=False)
        stack.callback(postgres.close)
        _started(postgres)
        yield postgres


@pytest.fixture(scope="module")
def own_redis() -> Iterator[Redis]:
    """Yield a server for this module alone, to be killed."""
    with ExitStack() as stack:
        redis = Redis()
        stack.callback(redis.close)
        _started(redis)
        yield redis


def _started(server: Kafka | Postgres | Redis) -> None:
    try:
        server.start()
    except ProgramUnavailable as reason:
        pytest.skip(f"no {server.name} here: {reason}")


def _server(shared: Shared, kind: str) -> str:
    given = os.environ.get(GIVEN[kind])
    if given:
        return given
    try:
        return shared.url(kind)
    except ProgramUnavailable as reason:
        pytest.skip(f"no {kind} here: {reason}")
