"""An SQLite file that another process holds too long is a fault that passes."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from shared.db import Database
from shared.transient import is_transient


async def test_a_file_that_another_process_holds_too_long_is_a_fault_that_passes(
    tmp_path: Path,
) -> None:
    database = Database(tmp_path / "busy.db")
    assert await database.trouble() == {}
    with closing(sqlite3.connect(tmp_path / "busy.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError) as busy:
            async with database.write():
                pass
        assert is_transient(busy.value)
        assert "database" in await database.trouble()
    assert await database.trouble() == {}
    await database.close()


async def test_a_disk_without_room_for_a_minute_of_work_is_reported(tmp_path: Path) -> None:
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    database = Database(tmp_path / "own.db", least_free=2 * free)
    said = (await database.trouble())["disk"]
    assert f"MiB are free at {tmp_path}, and a minute of work may take" in said
    assert said.endswith("Make room on that disk.")
    await database.close()


async def test_a_folder_that_is_gone_is_reported(tmp_path: Path) -> None:
    database = Database(tmp_path / "data" / "own.db")
    assert await database.trouble() == {}
    (tmp_path / "data").rename(tmp_path / "moved")
    assert "FileNotFoundError" in (await database.trouble())["database"]
    await database.close()
