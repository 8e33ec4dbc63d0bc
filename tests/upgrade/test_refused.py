"""Starting on stores of another layout fails with a clear sentence and changes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from shared.layout import LAYOUT, UPGRADING, sqlite_layout
from tests.upgrade.running import Installation, contents

pytestmark = pytest.mark.e2e

STARTS = {
    "deploy.local": "auth.db",
    "deploy.setup": "auth.db",
    "services.auth": "auth.db",
    "services.fetcher": "fetcher.db",
    "services.gateway": "gateway.db",
    "services.gateway keys list": "gateway.db",
    "deploy.sandbox --port 0 --data-dir data": "sandbox.db",
    "deploy.localkafka --port 0 --data-dir data/kafka": "kafka",
}
DATABASES = ("auth", "fetcher", "gateway", "sandbox")


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    one = Installation(tmp_path_factory.mktemp("old"))
    one.restore()
    yield one
    one.close()


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Yield an installation that was started once on an empty folder, and stopped."""
    one = Installation(tmp_path_factory.mktemp("fresh"))
    try:
        one.start()
        one.stop()
        yield one
    finally:
        one.close()


@pytest.mark.parametrize("command", STARTS)
def test_an_older_layout_is_refused_with_the_command_that_helps(
    old: Installation, command: str
) -> None:
    before = contents(old.data)
    said = old.refusal(command)
    assert STARTS[command] in said
    assert f"has layout 1, made by an older version; this version needs layout {LAYOUT}." in said
    assert "make upgrade (without make: python -m deploy.upgrade)" in said
    assert contents(old.data) == before


def test_an_upgrade_that_nobody_agrees_to_changes_nothing(old: Installation) -> None:
    before = contents(old.data)
    ended = old.run("deploy.upgrade")
    assert ended.returncode == 1
    for told in ("consents and tokens", "API keys", "all items", "dead letters"):
        assert told in ended.stdout
    assert "Nothing was changed." in ended.stderr
    assert contents(old.data) == before


def test_an_upgrade_with_other_keys_changes_nothing(old: Installation) -> None:
    before = contents(old.data)
    other = f"other:{'A' * 43}="
    assert "The keys do not fit the stored data" in old.refusal(
        "deploy.upgrade --yes", TRIBUTARY_KEYS=other
    )
    assert contents(old.data / "kafka") == {
        path.removeprefix("kafka/"): digest
        for path, digest in before.items()
        if path.startswith("kafka/")
    }
    assert sqlite_layout(old.data / "auth.db") == 1


def test_a_new_folder_has_the_version_in_every_store(fresh: Installation) -> None:
    assert [sqlite_layout(fresh.data / f"{name}.db") for name in DATABASES] == [LAYOUT] * len(
        DATABASES
    )
    assert (fresh.data / "kafka" / "layout").read_text() == f"{LAYOUT}\n"
    assert fresh.upgrade() == f"There is nothing to upgrade: all stores have layout {LAYOUT}.\n"


@pytest.mark.parametrize("database", DATABASES)
def test_a_newer_layout_is_refused_too(fresh: Installation, database: str) -> None:
    fresh.write(database, "UPDATE layout SET version = ?", LAYOUT + 1)
    for command in ("deploy.local", "deploy.upgrade --yes"):
        said = fresh.refusal(command)
        assert (
            f"{database}.db has layout {LAYOUT + 1}, made by a newer version; this version knows "
            "layout"
        ) in said
    fresh.write(database, "UPDATE layout SET version = ?", LAYOUT)


def test_a_newer_log_of_the_local_broker_is_refused_too(fresh: Installation) -> None:
    (fresh.data / "kafka" / "layout").write_text(f"{LAYOUT + 1}\n")
    for command in ("deploy.local", "deploy.upgrade --yes"):
        assert "made by a newer version" in fresh.refusal(command)
    (fresh.data / "kafka" / "layout").write_text(f"{LAYOUT}\n")


def test_an_interrupted_upgrade_is_told_from_an_older_layout(fresh: Installation) -> None:
    fresh.write("auth", "UPDATE layout SET version = ?", UPGRADING)
    for command in ("deploy.local", "services.auth"):
        assert "in the middle of an upgrade that was interrupted" in fresh.refusal(command)
    fresh.write("auth", "UPDATE layout SET version = ?", LAYOUT)


def test_a_file_that_is_no_database_is_refused(fresh: Installation) -> None:
    path = fresh.data / "fetcher.db"
    kept = path.read_bytes()
    path.write_bytes(b"torn" * 1000)
    assert "fetcher.db cannot be read as a database" in fresh.refusal("deploy.local")
    path.write_bytes(kept)


def test_what_a_killed_process_left_in_the_write_ahead_log_counts(tmp_path: Path) -> None:
    path = tmp_path / "auth.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE layout (version INTEGER)")
        db.execute("INSERT INTO layout VALUES (7)")
        assert (tmp_path / "auth.db-wal").stat().st_size > 0
        assert sqlite_layout(path) == 7


def test_an_empty_folder_has_nothing_to_upgrade(tmp_path: Path) -> None:
    one = Installation(tmp_path)
    try:
        assert "There is nothing to upgrade" in one.upgrade()
        assert contents(one.data) == {}
    finally:
        one.close()
