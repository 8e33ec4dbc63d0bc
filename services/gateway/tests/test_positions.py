"""The position in a topic never goes back on the same log."""

from __future__ import annotations

from pathlib import Path

from services.gateway import store
from shared.db import Database


async def test_a_batch_that_a_former_reader_writes_late_moves_nothing_back(tmp_path: Path) -> None:
    database = Database(tmp_path / "gateway.db")
    await database.migrate("services.gateway:migrations")
    async with database.write() as db:
        await store.save_positions(db, "items", "log", {0: 31})
        await store.save_positions(db, "items", "log", {0: 21})
        assert await store.load_positions(db, "items", "log") == {0: 31}
        await store.save_positions(db, "items", "another", {0: 5})
        assert await store.load_positions(db, "items", "another") == {0: 5}
    await database.close()
