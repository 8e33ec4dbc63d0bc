"""Run the local broker with our topics."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from deploy.localkafka import Broker
from shared.kafka import ensure_topics
from shared.settings import Cluster


@asynccontextmanager
async def local_kafka(folder: Path) -> AsyncIterator[str]:
    """Run a broker on a free port, with its log in ``folder``; yield its address."""
    broker = Broker(folder, port=0)
    await broker.start()
    try:
        bootstrap = f"{broker.host}:{broker.port}"
        await ensure_topics(Cluster(bootstrap=bootstrap), local=True)
        yield bootstrap
    finally:
        await broker.stop()
