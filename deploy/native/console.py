"""Sort the output of a stack: everything into files, what matters onto the terminal."""

from __future__ import annotations

import re
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

from deploy.servers import Sink
from shared.telemetry import LogFile

WIDTH: Final = 10
COLOURS: Final = (36, 33, 35, 32, 34, 96, 93, 95, 92, 94)
SELF: Final = "stack"
_LEVELS: Final = (
    re.compile(r'"level": "(\w+)"'),  # our services, as JSON
    re.compile(r"\[(debug|info|warning|error|critical) *\]"),  # our services, if told to be pretty
    re.compile(r"\b(LOG|INFO|WARN|WARNING|ERROR|FATAL|PANIC)\b"),  # Kafka and PostgreSQL
)
_LOUD: Final = frozenset({"warning", "error", "critical", "ERROR", "FATAL", "PANIC"})
"""Kafka and PostgreSQL warn about things that are intended here; those stay in the files."""
_CHATTY: Final = re.compile(
    r'"logger": "aiokafka\b|\baiokafka\.|FATAL:  the database system is starting up'
)
"""aiokafka warns of every rebalance; our own consumers report when they cannot go on. PostgreSQL
logs this whenever something checks whether it is up yet."""
_TRACEBACK: Final = "Traceback (most recent call last)"


class Console:
    """Write lines of several threads without tearing any of them."""

    def __init__(self, logs: Path) -> None:
        """Write into the folder ``logs``, a file for each process."""
        self._lock = threading.Lock()
        self._logs = logs
        self._files: list[LogFile] = []
        self._colours: dict[str, int] = {}
        self._plain = not sys.stderr.isatty()

    def sink(self, name: str) -> Sink:
        """Return what takes each line of the process ``name``.

        All go into its file, and warnings and errors go to the terminal as well. A line without a
        level belongs to the line before it: tracebacks have many.
        """
        prefix = self._prefix(name)
        file = LogFile(self._logs / f"{name}.log")
        self._files.append(file)
        loud = False

        def take(line: str) -> None:
            nonlocal loud
            loud = _is_loud(line, before=loud)
            # A full disk must not end the thread that empties the pipe: the process would block.
            with suppress(OSError, ValueError):
                file.write(f"{line}\n")
                file.flush()
            if loud:
                self._show(prefix, line)

        return take

    def say(self, line: str) -> None:
        """Show a sentence of the supervisor's own."""
        self._show(self._prefix(SELF), line)

    def close(self) -> None:
        """Close the files. Lines that come later are lost."""
        for file in self._files:
            file.close()

    def _show(self, prefix: str, line: str) -> None:
        with self._lock:
            sys.stderr.write(f"{prefix}{line}\n")
            sys.stderr.flush()

    def _prefix(self, name: str) -> str:
        if self._plain:
            return f"{name:<{WIDTH}}| "
        colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
        return f"\033[{colour}m{name:<{WIDTH}}|\033[0m "


def _is_loud(line: str, *, before: bool) -> bool:
    if line.startswith(_TRACEBACK):
        return True
    if _CHATTY.search(line):
        return False
    for level in _LEVELS:
        found = level.search(line)
        if found is not None:
            return found[1] in _LOUD
    return before
