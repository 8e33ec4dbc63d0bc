"""Fetch Kafka's jars, once, with Maven as ``pom.xml`` says."""

from __future__ import annotations

import fcntl
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

from deploy.servers.commands import ProgramUnavailable, installed

HERE: Final = Path(__file__).parent
POM: Final = HERE / "pom.xml"
CACHE: Final = HERE.parents[1] / ".cache" / "kafka"


def version() -> str:
    found = re.search(r"<kafka\.version>(.+?)</", POM.read_text("utf-8"))
    if found is None:
        raise ProgramUnavailable(f"{POM.name} names no kafka.version.")
    return found[1]


@cache
def class_path() -> str:
    """Return the path of all jars, as Java takes it.

    Several processes may ask at once: one fetches, the others wait.

    Raises:
        ProgramUnavailable: there is no Maven, or it could not fetch them.
    """
    folder = CACHE / version()
    if not _complete(folder):
        with alone():
            if not _complete(folder):
                _fetch(folder)
    return f"{folder}/*"


def _complete(folder: Path) -> bool:
    """Return True if all jars are there: the copy of the pom is written last."""
    mark = folder / POM.name
    return mark.exists() and mark.read_bytes() == POM.read_bytes()


@contextmanager
def alone() -> Iterator[None]:
    """Be the only process that writes to the cache."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _fetch(folder: Path) -> None:
    maven = installed("mvn", ["maven"])
    unfinished = CACHE / f"{folder.name}.part"
    for stale in (unfinished, folder):
        shutil.rmtree(stale, ignore_errors=True)
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={unfinished}"]
    ended = subprocess.run(  # noqa: S603, the command is ours
        [maven, "--batch-mode", "--quiet", "--file", str(POM), *goal],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        errors = [line for line in ended.stdout.splitlines() if "ERROR" in line]
        reason = errors[0] if errors else ended.stderr.strip()
        raise ProgramUnavailable(
            f"Maven could not fetch Kafka {version()}: {reason}. Is its repository reachable?"
        )
    shutil.copy(POM, unfinished / POM.name)
    unfinished.rename(folder)
