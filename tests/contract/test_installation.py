"""A database records the installation of its topics once, however many processes start."""

from __future__ import annotations

import asyncio
from pathlib import Path

from shared.db import Schema, installation_of
from shared.kafka import read_installation
from shared.service_database import open_database
from shared.settings import Cluster
from tests.support.kafka import local_kafka

PROCESSES = 6


async def test_services_that_start_at_once_record_it_once(
    place: Path | Schema, tmp_path: Path
) -> None:
    async with local_kafka(tmp_path / "kafka") as bootstrap:
        cluster = Cluster(bootstrap=bootstrap)

        async def recorded() -> str | None:
            opened = open_database(place, migrations="services.fetcher:migrations", cluster=cluster)
            async with opened as database, database.read() as db:
                return await installation_of(db)

        found = await asyncio.gather(*(recorded() for _ in range(PROCESSES)))
        topics = await read_installation(cluster)
        assert topics is not None
        assert found == [topics.id] * PROCESSES
