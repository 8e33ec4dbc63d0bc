"""Run ``python -m services.gateway keys`` on the native stack's database, even if it is stopped.

The stack's own PostgreSQL listens on another port after each start, so a command in another
terminal cannot know its URL. While the stack runs, the port is in the server's ``postmaster.pid``;
otherwise the server is started for as long as the command takes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from deploy.lock import AlreadyRunning, locked
from deploy.servers import Postgres
from shared.exit_codes import Refusal, exit_code
from shared.installation import provider_defaults
from shared.settings import Settings, load_settings

PORT_LINE: Final = 3
"""``postmaster.pid`` holds a value per line: pid, data folder, start, port (PostgreSQL's
pidfile.h)."""


def main(arguments: Sequence[str]) -> int:
    """Run the command with these arguments and return its exit code."""

    def run() -> int:
        settings = load_settings(os.environ, Path(".env"), providers=provider_defaults())
        if settings.database_url is not None:
            return _keys(arguments, {})
        with _database_url(settings) as url:
            return _keys(arguments, {"TRIBUTARY_DATABASE_URL": url})

    return exit_code(run)


@contextmanager
def _database_url(settings: Settings) -> Iterator[str]:
    """Yield the URL of the stack's own PostgreSQL, which answers while the context is open."""
    data = settings.data_dir.absolute() / "postgres"
    try:
        lock = locked(settings.data_dir)
    except AlreadyRunning:
        yield Postgres.url_at(data, _port(data))
        return
    with lock, closing(Postgres(data, tied=True)) as server:
        server.start()
        yield server.url


def _port(data: Path) -> int:
    try:
        return int((data / "postmaster.pid").read_text().splitlines()[PORT_LINE])
    except (OSError, IndexError, ValueError):
        raise Refusal(
            f"The PostgreSQL server of {data} is not running, although something uses the data "
            "folder. If `make stack` is starting there, repeat this command when it is up. "
            "If it is `make run`, use: python -m services.gateway keys"
        ) from None


def _keys(arguments: Sequence[str], environ: dict[str, str]) -> int:
    command = [sys.executable, "-m", "services.gateway", "keys", *arguments]
    ended = subprocess.run(command, env={**os.environ, **environ}, check=False)  # noqa: S603, ours
    return ended.returncode
