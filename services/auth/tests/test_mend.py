"""Once a lost connections topic is filled again, nothing is wrong any more."""

from __future__ import annotations

from pathlib import Path

from services.auth import store
from services.auth.mend import Stores, look, mend
from shared.contracts.topics import CONNECTIONS
from shared.db import Database
from shared.kafka import log_ids
from shared.settings import Cluster
from tests.support.kafka import local_kafka


async def test_a_topic_that_was_restored_is_filled_once(tmp_path: Path) -> None:
    """The log is the same, but it ends before the marks."""
    database = Database(tmp_path / "auth.db")
    await database.migrate("services.auth:migrations")
    async with local_kafka(tmp_path / "kafka") as bootstrap:
        cluster = Cluster(bootstrap=bootstrap)
        marks = store.marks(await log_ids(cluster, [CONNECTIONS]))
        at = Stores(database=database, marks=marks, cluster=cluster)
        await mend(at)
        assert await look(at) == {}
        async with database.write() as db:
            await marks.note(db, {CONNECTIONS: {0: 41}})
        assert "it was lost" in (await look(at))[CONNECTIONS]
        await mend(at)
        assert await look(at) == {}
    await database.close()
