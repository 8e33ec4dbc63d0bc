"""Create a data folder of PostgreSQL, and find PostgreSQL's commands."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Final

from deploy.servers.commands import ProgramUnavailable, as_user, install
from deploy.servers.ports import HOST

USER: Final = "postgres"
ROLE: Final = "tributary"
DATABASE: Final = "tributary"
VERSIONS: Final = Path("/usr/lib/postgresql")
ACCESS: Final = f"host all all {HOST}/32 scram-sha-256\n"


class DataFolder:
    """Hold a folder open, under a path that its holders may use.

    PostgreSQL refuses to run as root, and its own user may not have access to the folders above.
    Their modes do not matter to a process that goes through an open handle.
    """

    def __init__(self, path: Path) -> None:
        self.handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)

    @property
    def path(self) -> str:
        return f"/proc/self/fd/{self.handle}"

    def close(self) -> None:
        os.close(self.handle)


def make(data: Path, password: str) -> None:
    """Create the folder, unless it exists. It gets its name only when it is complete.

    Raises:
        ProgramUnavailable: there is no PostgreSQL, or another version than the one that made the
            folder.
    """
    here = binaries()
    if data.exists():
        _check_version(data, here)
        return
    unfinished = data.with_name(f"{data.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True, mode=0o700)
    if os.geteuid() == 0:
        shutil.chown(unfinished, USER, USER)
    with closing(DataFolder(unfinished)) as folder:
        where = ["-D", folder.path]
        options = f"-U {ROLE} -A trust -E UTF8 --no-locale --no-sync".split()
        _run(folder, [f"{here}/initdb", *where, *options])
        statements = f"ALTER ROLE {ROLE} PASSWORD '{password}';\nCREATE DATABASE {DATABASE};\n"
        _run(
            folder,
            [f"{here}/postgres", "--single", *where, "-c", "log_min_messages=error", "postgres"],
            statements,
        )
    (unfinished / "pg_hba.conf").write_text(ACCESS, "ascii")
    unfinished.rename(data)


def _run(folder: DataFolder, command: list[str], given: str = "") -> None:
    ended = subprocess.run(  # noqa: S603, the command is ours
        [*as_user(USER), *command],
        cwd="/",
        pass_fds=[folder.handle],
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode or "ERROR" in ended.stderr:
        raise ProgramUnavailable(
            f"Could not create PostgreSQL's data folder: {ended.stderr.strip()}"
        )


def _check_version(data: Path, here: str) -> None:
    made_by = (data / "PG_VERSION").read_text("ascii").strip()
    version = Path(here).parent.name
    if version != made_by and version.replace(".", "").isdigit():
        raise ProgramUnavailable(
            f"{data} was made by PostgreSQL {made_by}, but version {version} is installed here. "
            "Dump it with the old version and restore it, or move the folder away."
        )


def binaries() -> str:
    """Return the folder of the newest version's commands, which Debian keeps off the path.

    Raises ``ProgramUnavailable``.
    """
    found = _found()
    if found is None:
        install("PostgreSQL", ["postgresql"])
        found = _found()
    if found is None:
        raise ProgramUnavailable(f"postgresql is installed, but there is no initdb in {VERSIONS}.")
    return found


def _found() -> str | None:
    folders = [
        path
        for path in VERSIONS.glob("*/bin")
        if (path / "initdb").exists() and (path / "postgres").exists()
    ]
    if folders:
        return str(
            max(folders, key=lambda path: [int(part) for part in path.parent.name.split(".")])
        )
    on_path = shutil.which("initdb")
    return str(Path(on_path).resolve().parent) if on_path else None
