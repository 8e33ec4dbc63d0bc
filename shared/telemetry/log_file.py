"""A log file that cannot fill the disk: when it is full, it becomes its own predecessor."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Final, TextIO, final

LOG_BYTES: Final = 10_000_000
"""About 40,000 lines. With its predecessor a log takes 20 MB at most."""


@final
class LogFile:
    """Append lines to ``path``; keep one full predecessor beside it, as ``path`` with ``.1``.

    Safe for several threads of one process, which has to be the only writer.
    """

    def __init__(self, path: Path, *, limit: int = LOG_BYTES) -> None:
        """Make the folder and open the file, both for their owner only. Raises ``OSError``."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path, self._limit = path, limit
        self._lock = threading.Lock()
        self._file = _opened(path)
        self._size = path.stat().st_size

    def write(self, text: str) -> None:
        """Write whole lines, in ASCII."""
        with self._lock:
            if self._size and self._size + len(text) > self._limit:
                self._file.close()
                self._path.replace(self._path.with_name(f"{self._path.name}.1"))
                self._file = _opened(self._path)
                self._size = 0
            self._size += self._file.write(text)

    def flush(self) -> None:
        with self._lock:
            self._file.flush()

    def close(self) -> None:
        with self._lock:
            self._file.close()


def _opened(path: Path) -> TextIO:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    return os.fdopen(handle, "a", encoding="utf-8", errors="backslashreplace")
