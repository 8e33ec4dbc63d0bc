"""Share servers between workers: the workers' side."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

from deploy.servers import ProgramUnavailable

ROOT = Path(__file__).parents[2]
STOP_WITHIN_S = 40.0


def run_folder() -> Path:
    """Return one short folder for all workers: a socket's path may have about 100 characters."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", f"alone-{os.getpid()}")
    return Path(tempfile.gettempdir()) / f"tributary-servers-{os.getuid()}-{run[:16]}"


class Shared:
    """Keep the run's servers up while it is open; the keeper stops them when nobody has it open.

    The kernel hangs up for a worker that was killed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._connection: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        """Wait until everything has stopped, if this one leaves last."""
        if self._connection is None:
            return
        with self._connection as connection:
            connection.settimeout(STOP_WITHIN_S)
            connection.sendall(b"bye\n")
            connection.recv(1)

    def url(self, kind: str) -> str:
        """Return the server's URL.

        Raises:
            ProgramUnavailable: it cannot be had here; the message says why.
            RuntimeError: it could be started here, but was not ready.
        """
        if self._connection is None:
            self._connection = self._connected()
        self._connection.sendall(f"{kind}\n".encode())
        with self._connection.makefile("r") as lines:
            answer = json.loads(lines.readline())
        if "unavailable" in answer:
            raise ProgramUnavailable(answer["unavailable"])
        if "failed" in answer:
            raise RuntimeError(answer["failed"])
        return str(answer["url"])

    def _connected(self) -> socket.socket:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        with (self._folder / "lock").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            try:
                return self._connect()
            except OSError:
                subprocess.run(
                    [sys.executable, "-m", "tests.servers.keeper", str(self._folder)],
                    cwd=ROOT,
                    check=True,
                )
                return self._connect()

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(self._folder / "socket"))
        except OSError:
            connection.close()
            raise
        return connection
