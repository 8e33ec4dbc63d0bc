"""Run every test that asks for Kafka on the local broker and on Apache Kafka.

What we rely on has to hold on both.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.tests.kafka_harness import Kafka, kafka_at, kafka_on


@pytest.fixture(params=["local", "real"])
def bootstrap(request: pytest.FixtureRequest) -> str | None:
    """Return the address of a running Kafka, None for one of the test's own."""
    return request.getfixturevalue("real_kafka") if request.param == "real" else None


@pytest.fixture
async def kafka(bootstrap: str | None, tmp_path: Path) -> AsyncIterator[Kafka]:
    async with kafka_on(tmp_path) if bootstrap is None else kafka_at(bootstrap) as kafka:
        yield kafka
