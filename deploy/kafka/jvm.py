"""Run Kafka's Java, and make it start quickly."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from deploy.kafka.jars import CACHE, class_path, version
from deploy.servers.commands import ProgramUnavailable, installed

OLDEST: Final = 17
LOGGING: Final = (
    "defaultLogLevel=warn",
    "showThreadName=false",
    "showDateTime=true",
    "dateTimeFormat=HH:mm:ss.SSS",
)

QUIET: Final = ("-Xlog:cds=off", "-Xlog:cds+dynamic=off")
"""Stay silent about an archive that does not fit because the folder was moved: the start is only
slower."""


class Java(NamedTuple):
    path: str
    version: str


@cache
def java() -> Java:
    """Return the Java to use. Raise ``ProgramUnavailable`` if there is none, or it is too old."""
    found = installed("java", ["default-jre-headless"])
    command = [found, "-version"]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stderr  # noqa: S603
    number = re.search(r'version "((\d+)[^"]*)"', told)
    if number is None or int(number[2]) < OLDEST:
        said = told.partition("\n")[0] or "nothing"
        raise ProgramUnavailable(
            f"Kafka {version()} needs Java {OLDEST} or newer; {found} says: {said}"
        )
    return Java(found, number[1])


def archive() -> Path:
    """Return the file of the archived classes that Kafka loads.

    It fits this very Java only, and saves two seconds of CPU at each start.
    """
    return CACHE / version() / f"classes-{java().version}.jsa"


def run(
    main: str, *arguments: str, heap_mb: int, brief: bool, archive_to: Path | None = None
) -> list[str]:
    """Return the command that runs ``main``.

    ``brief`` compiles less, which starts sooner and runs slower.

    Raises:
        ProgramUnavailable: no Java, or no jars.
    """
    options = [
        f"-Xmx{heap_mb}m",
        "-XX:+UseSerialGC",
        *(f"-Dorg.slf4j.simpleLogger.{one}" for one in LOGGING),
    ]
    if brief:
        options.append("-XX:TieredStopAtLevel=1")
    if archive_to is not None:
        options.append(f"-XX:ArchiveClassesAtExit={archive_to}")
    elif archive().exists():
        options += [f"-XX:SharedArchiveFile={archive()}", *QUIET]
    return [java().path, *options, "-cp", class_path(), main, *arguments]
