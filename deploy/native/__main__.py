"""``python -m deploy.native``: the full stack on this machine, without Docker, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

from deploy.lock import locked
from deploy.native.console import SELF, Console, greet
from deploy.native.stack import Stack
from deploy.native.supervise import Supervisor
from shared.exit_codes import exit_code
from shared.installation import provider_defaults
from shared.settings import Settings, load_settings


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m deploy.native", description=__doc__)
    parser.add_argument(
        "--fetchers", type=int, default=1, help="how many share the work (default: 1)"
    )
    parser.add_argument("--no-sandbox", action="store_true", help="only real accounts")
    given = parser.parse_args(arguments)
    if given.fetchers < 1:
        parser.error("--fetchers takes 1 or more")

    def run() -> None:
        settings = load_settings(os.environ, Path(".env"), providers=provider_defaults())
        with locked(settings.data_dir):
            _run(settings, fetchers=given.fetchers, sandbox=not given.no_sandbox)

    return exit_code(run)


def _run(settings: Settings, *, fetchers: int, sandbox: bool) -> None:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    console = Console()
    environ = {**os.environ, **_readable(settings)}
    with Stack(
        settings, fetchers=fetchers, sandbox=sandbox, environ=environ, sink=console.sink, tied=True
    ) as stack:
        supervisor = Supervisor(stack, say=console.sink(SELF), stopping=stop.is_set)
        try:
            supervisor.start()
            if not stop.is_set():
                greet(settings, fetchers)
            supervisor.watch()
        finally:
            supervisor.stop()


def _readable(settings: Settings) -> dict[str, str]:
    """The services write into our pipe, and we to a terminal or not: they cannot see which."""
    return (
        {"TRIBUTARY_LOG_FORMAT": "pretty"}
        if settings.log_format == "auto" and sys.stderr.isatty()
        else {}
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
