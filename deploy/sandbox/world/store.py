"""Store the sandbox's state durably: everything it has answered is on disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Final, Generic, TypeVar

import msgspec
from typing_extensions import override

from shared.layout import StoreUnusable, mark, require_layout, sqlite_layout

T = TypeVar("T")

SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS state (space TEXT, key TEXT, value BLOB, PRIMARY KEY (space, key))"
)
# INSERT OR REPLACE would delete first, and the new rowid would move the row to the end of every
# listing.
UPSERT: Final = (
    "INSERT INTO state (space, key, value) VALUES (?, ?, ?) "
    "ON CONFLICT (space, key) DO UPDATE SET value = excluded.value"
)


class Store:
    """Keep state in one SQLite file.

    Every write is synced to disk before it returns, which blocks for a few milliseconds. Only one
    process may use the file: the maps above it do not see what another one writes.
    """

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            LayoutRefused: the file has another layout.
            StoreUnusable: it cannot be read or written.
        """
        found = sqlite_layout(path)
        name = f"The sandbox's state {path}"
        if found is not None:
            require_layout(found, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        try:
            self._db = _opened(path, new=found is None)
        except sqlite3.Error as error:
            raise StoreUnusable(name, error) from error

    def load(self, space: str) -> Iterator[tuple[str, bytes]]:
        found = self._db.execute(
            "SELECT key, value FROM state WHERE space = ? ORDER BY rowid", (space,)
        )
        return iter(found.fetchall())

    def write(self, space: str, changes: dict[str, bytes | None]) -> None:
        """Apply ``changes`` in one transaction; None deletes, a key set again keeps its place."""
        gone = [(space, key) for key, value in changes.items() if value is None]
        kept = [(space, key, value) for key, value in changes.items() if value is not None]
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany("DELETE FROM state WHERE space = ? AND key = ?", gone)
            self._db.executemany(UPSERT, kept)
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise

    def close(self) -> None:
        self._db.close()


def _opened(path: Path, *, new: bool) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    if new:
        db.execute("BEGIN IMMEDIATE")
        db.execute(SCHEMA)
        mark(db)
        db.execute("COMMIT")
    return db


class DurableMap(MutableMapping[str, T], Generic[T]):
    """Map keys to msgspec structs; a change is on disk when it returns."""

    def __init__(self, store: Store, space: str, shape: type[T]) -> None:
        self._store = store
        self._space = space
        self._live: dict[str, T] = {
            key: msgspec.json.decode(value, type=shape) for key, value in store.load(space)
        }

    @override
    def __getitem__(self, key: str) -> T:
        return self._live[key]

    @override
    def __setitem__(self, key: str, value: T) -> None:
        self.put({key: value})

    @override
    def __delitem__(self, key: str) -> None:
        if key not in self._live:
            raise KeyError(key)
        self._store.write(self._space, {key: None})
        del self._live[key]

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._live)

    @override
    def __len__(self) -> int:
        return len(self._live)

    def put(self, values: dict[str, T]) -> None:
        """Set many keys in one transaction."""
        self._store.write(
            self._space, {key: msgspec.json.encode(value) for key, value in values.items()}
        )
        self._live.update(values)
