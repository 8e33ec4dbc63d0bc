"""Number the layout of an installation's stores, and tell those of another installation apart.

The stores are databases, topics, and the files of the built-in broker and the sandbox. Each carries
the number it was made with. ``LAYOUT`` rises when older stores cannot be used as they are, so that
``deploy.upgrade`` has to be run once. Mere additions do not change it: within a layout, processes
of an older and a newer version run side by side.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from shared.errors import TributaryError

LAYOUT: Final = 2
UNVERSIONED: Final = 1
"""The layout of stores without a number: they are older than layout 2."""
UPGRADING: Final = 0
"""Stands in auth's database during an upgrade, and after one that was interrupted."""
THE_DATABASES: Final = "The services' databases"
BELONGING: Final = (
    "Name stores that belong together (TRIBUTARY_DATABASE_URL, TRIBUTARY_DATA_DIR, "
    "TRIBUTARY_KAFKA_BOOTSTRAP_SERVERS); to begin anew, name empty ones."
)
SQLITE_TABLES: Final = (
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB 'sqlite_*'"
)
REMEDY: Final = "Stop everything, then run: make upgrade (without make: python -m deploy.upgrade)."


class LayoutRefused(TributaryError):
    """A store has another layout than this version needs.

    ``detail`` says which, and what to do.
    """

    code = "layout_refused"


class ForeignStore(TributaryError):
    """A store belongs to another installation than the topics.

    ``detail`` says which, and what to do.
    """

    code = "foreign_store"


class StoreUnusable(TributaryError):
    """A store cannot be read or written.

    ``detail`` says which, why, and what to do.
    """

    code = "store_unusable"

    def __init__(self, store: str, reason: object) -> None:
        """``store`` names it for people, at the beginning of a sentence."""
        super().__init__(
            f"{store} cannot be used ({reason}). Check its disk and who may read and write it, or "
            "restore it from a backup."
        )


def require_layout(found: int, store: str) -> None:
    """Raise ``LayoutRefused`` if ``found`` is not ``LAYOUT``.

    ``store`` names it for people, at the beginning of a sentence: "The topics of …".
    """
    if found == LAYOUT:
        return
    if found > LAYOUT:
        raise LayoutRefused(
            f"{store} has layout {found}, made by a newer version; this version knows layout "
            f"{LAYOUT}. Start the newer version, or restore a backup from before the upgrade."
        )
    if found == UPGRADING:
        raise LayoutRefused(
            f"{store} is in the middle of an upgrade that was interrupted. {REMEDY}"
        )
    raise LayoutRefused(
        f"{store} has layout {found}, made by an older version; this version needs layout "
        f"{LAYOUT}. {REMEDY} It first tells you what is kept and what is synced again."
    )


def require_installation(found: str, topics: str, store: str) -> None:
    """Raise ``ForeignStore`` if a store's installation is not that of the topics.

    ``store`` names it for people, at the beginning of a sentence.
    """
    if found != topics:
        raise ForeignStore(
            f"{store} and Kafka's topics belong to different installations. {BELONGING}"
        )


def sqlite_layout(path: Path) -> int | None:
    """Return the layout of an SQLite file, None if it is missing or empty. Nothing is written.

    Raises:
        LayoutRefused: the file cannot be read, or is no database.
    """
    if not path.exists():
        return None
    tables, row = _read(path, "layout", "SELECT version FROM layout")
    return recorded(tables, row)


def sqlite_installation(path: Path) -> str | None:
    """Return the installation recorded in an SQLite file, None if there is none.

    Nothing is written. Raises ``LayoutRefused`` as ``sqlite_layout`` does.
    """
    if not path.exists():
        return None
    _, row = _read(path, "installation", "SELECT id FROM installation")
    return str(row[0]) if row else None


def _read(path: Path, table: str, query: str) -> tuple[set[str], Any]:
    """Return the names of the tables, and the row of ``table`` if it exists."""
    try:
        with closing(_read_only(path)) as db:
            tables = {name for (name,) in db.execute(SQLITE_TABLES)}
            row = db.execute(query).fetchone() if table in tables else None
    except sqlite3.DatabaseError as error:
        raise LayoutRefused(
            f"{path} cannot be read as a database ({error}). Check who may read it, or restore it "
            "from a backup."
        ) from None
    return tables, row


def _read_only(path: Path) -> sqlite3.Connection:
    # Without a write-ahead log everything is in the file itself. "immutable" keeps SQLite from
    # creating one.
    mode = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "mode=ro&immutable=1"
    return sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)


def check_sqlite(path: Path, *, budget_s: float) -> None:
    """Read an SQLite file for as long as ``budget_s``, to see whether it is whole.

    Raises:
        StoreUnusable: it is not.
    """
    found, over = "ok", threading.Event()
    try:
        with closing(_read_only(path)) as db:
            # A progress handler would not do: older SQLites do not call it during this statement.
            def stop() -> None:
                over.set()
                db.interrupt()

            timer = threading.Timer(budget_s, stop)
            timer.start()
            try:
                found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            finally:
                timer.cancel()
                timer.join()
    except sqlite3.DatabaseError as error:
        if not over.is_set():
            raise StoreUnusable(str(path), error) from None
    if found != "ok" and not over.is_set():
        said = " ".join(found.removeprefix("*** in database main ***").split())
        raise StoreUnusable(str(path), f"it is damaged: {said}")


def mark_sqlite(path: Path) -> None:
    """Record in an SQLite file that it has the current layout, in one transaction."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        mark(db)
        db.execute("COMMIT")


def mark(db: sqlite3.Connection) -> None:
    """Record the current layout in the caller's transaction."""
    db.execute("CREATE TABLE IF NOT EXISTS layout (version INTEGER NOT NULL)")
    db.execute("DELETE FROM layout")
    db.execute("INSERT INTO layout VALUES (?)", (LAYOUT,))


def recorded(tables: set[str], row: tuple[int] | None) -> int | None:
    """Return the layout of a database with these tables and this row of table ``layout``."""
    if row is not None:
        return row[0]
    return UNVERSIONED if tables else None
