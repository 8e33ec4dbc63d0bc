"""Open the local broker for an upgrade while nothing else runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.localkafka import Broker, stored_layout
from shared.kafka import THE_TOPICS, topics_layout
from shared.layout import LAYOUT
from shared.settings import Cluster, Settings


@dataclass(frozen=True)
class WithLocalBroker:
    """An ``Installation`` (see ``deploy.upgrade.installation``) whose topics are in ``folder``."""

    settings: Settings
    folder: Path
    local: bool = True

    async def kafka_layouts(self) -> dict[str, int]:
        found = stored_layout(self.folder)
        if found is None:
            return {}
        if found != LAYOUT:
            return {f"The folder {self.folder} of the local broker": found}
        async with self.kafka() as cluster:
            topics = await topics_layout(cluster)
        return {} if topics is None else {THE_TOPICS: topics}

    @asynccontextmanager
    async def kafka(self) -> AsyncIterator[Cluster]:
        """Open the broker at a port that nobody else knows.

        Raises ``BrokerError`` if a broker runs on the folder.
        """
        broker = Broker(self.folder, port=0, upgrade=True)
        await broker.start()
        try:
            yield Cluster(bootstrap=f"{broker.host}:{broker.port}")
        finally:
            await broker.stop()
