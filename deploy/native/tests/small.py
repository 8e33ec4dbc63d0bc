"""Processes that only start, note what happens to them, and end."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from typing_extensions import override

from deploy.native.service import OneShot
from deploy.servers import Child
from tests.support.waiting import PATIENCE_S

SCRIPT = """
import os, signal, sys, time
name, folder, manner = sys.argv[1:]
def note(word):
    with open(f"{folder}/notes", "a") as notes:
        notes.write(f"{name} {word}\\n")
def end(*_):
    note("ends")
    if manner != "deaf":
        sys.exit(0)
signal.signal(signal.SIGTERM, end)
note("starts")
if manner == "dies":
    sys.exit("its last words")
if manner == "falls" and not os.path.exists(f"{folder}/{name}.fell"):
    open(f"{folder}/{name}.fell", "w").close()
    os.kill(os.getpid(), signal.SIGKILL)
open(f"{folder}/{name}.{os.getpid()}", "w").close()
while True:
    time.sleep(60)
"""


class Small(Child):
    """A small process of a certain ``manner``.

    ``deaf`` does not end when asked to, ``dies`` ends at once with status 1, ``falls`` is killed
    once.
    """

    start_within_s = PATIENCE_S

    def __init__(
        self, name: str, folder: Path, manner: str = "good", *, tied: bool = False
    ) -> None:
        super().__init__(name, tied=tied)
        self._arguments = [name, str(folder), manner]
        self._folder = folder

    @override
    def command(self) -> list[str]:
        return [sys.executable, "-c", SCRIPT, *self._arguments]

    @override
    def answers(self) -> bool:
        return (self._folder / f"{self.name}.{self.pid}").exists()


class SmallStack:
    def __init__(self, folder: Path, **manners: str) -> None:
        self._folder = folder
        made = {
            name: Small(name, folder, manners.get(name, "good"))
            for name in ("database", "queue", "worker", "door")
        }
        self.servers = {name: made[name] for name in ("database", "queue")}
        self.services = {name: made[name] for name in ("worker", "door")}

    @property
    def children(self) -> list[Small]:
        return [*self.servers.values(), *self.services.values()]

    def setup(self) -> OneShot:
        (self._folder / "small_setup.py").write_text("open('notes', 'a').write('setup runs\\n')\n")
        environ = {**os.environ, "PYTHONPATH": str(self._folder)}
        return InFolder("setup", ["small_setup"], environ=environ, sink=None).at(self._folder)

    def notes(self) -> list[str]:
        path = self._folder / "notes"
        return path.read_text().splitlines() if path.exists() else []

    def close(self) -> None:
        for child in self.children:
            child.kill()


class InFolder(OneShot):
    _at = Path()

    def at(self, folder: Path) -> InFolder:
        self._at = folder
        return self

    @override
    def folder(self) -> Path:
        return self._at
