from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.localkafka import Broker
from deploy.localkafka.tests.harness import Aiokafka, BrokerProcess, Confluent, Kafka


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    broker = Broker(tmp_path / "log", port=0)
    await broker.start()
    yield broker
    await broker.stop()


@pytest.fixture
def address(broker: Broker) -> str:
    return f"{broker.host}:{broker.port}"


@pytest.fixture
async def broker_process(tmp_path: Path) -> AsyncIterator[BrokerProcess]:
    process = BrokerProcess(tmp_path / "log")
    await process.start()
    yield process
    await process.close()


@pytest.fixture(params=[Aiokafka, Confluent], ids=["aiokafka", "confluent"])
def kafka(request: pytest.FixtureRequest) -> Kafka:
    client: Kafka = request.param()
    return client
