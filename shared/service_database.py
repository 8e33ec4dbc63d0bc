"""Open a service's database: migrated, and of the same installation as Kafka's topics.

Otherwise a fetcher with the database of another installation would fill the topics with the items
of customers that this one has never heard of.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.db import (
    Database,
    Location,
    check_layout,
    installation_of,
    set_installation,
    store_name,
)
from shared.kafka import check_topics, read_installation
from shared.layout import require_installation
from shared.settings import Cluster


@asynccontextmanager
async def open_database(
    location: Location,
    *,
    migrations: str,
    cluster: Cluster | None,
    durable: bool = False,
    serial: bool = False,
) -> AsyncIterator[Database]:
    """Check the topics, then yield the database with the newest tables.

    ``migrations`` is a package such as ``services.auth:migrations``; for the last two see
    ``Database``. Without a ``cluster`` nothing is compared.

    Raises:
        LayoutRefused: the tables or the topics have another layout.
        ClusterUnsuitable: a topic is missing or has too few partitions.
        ForeignStore: tables and topics belong to different installations.
        StoreUnusable: an SQLite file cannot be read or written.
    """
    await check_layout(location)
    if cluster is not None:
        await check_topics(cluster)
    database = Database(location, durable=durable, serial=serial)
    try:
        await database.migrate(migrations)
        if cluster is not None:
            await _require_same_installation(database, location, cluster)
        yield database
    finally:
        await database.close()


async def _require_same_installation(
    database: Database, location: Location, cluster: Cluster
) -> None:
    recorded = await read_installation(cluster)
    if recorded is None or recorded.id is None:
        return  # made by an older version; the next ``deploy.setup`` adds it
    # Two fetchers that start at once share their tables.
    async with database.write(lock="installation") as db:
        known = await installation_of(db)
        if known is None:
            await set_installation(db, recorded.id)
        else:
            require_installation(known, recorded.id, store_name(location))
