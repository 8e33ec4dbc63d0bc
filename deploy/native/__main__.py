"""``python -m deploy.native``: run the full stack here, without Docker, until Ctrl-C or SIGTERM.

``python -m deploy.native keys …`` makes, lists and revokes API keys of that stack.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from contextlib import closing
from pathlib import Path

from deploy.greeting import greet, logs_folder, say_stopped
from deploy.lock import locked
from deploy.native import keys
from deploy.native.console import Console
from deploy.native.stack import Stack
from deploy.native.supervise import Supervisor
from shared.exit_codes import exit_code
from shared.installation import provider_defaults
from shared.settings import Settings, load_settings


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["keys"]:
        return keys.main(arguments[1:])
    parser = argparse.ArgumentParser("python -m deploy.native", description=__doc__)
    parser.add_argument(
        "--fetchers", type=int, default=1, help="how many fetchers share the work (default: 1)"
    )
    parser.add_argument(
        "--no-sandbox", action="store_true", help="start no sandbox: only real accounts"
    )
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
    logs = logs_folder(settings)
    with (
        closing(Console(logs)) as console,
        Stack(settings, fetchers=fetchers, sandbox=sandbox, sink=console.sink, tied=True) as stack,
    ):
        supervisor = Supervisor(stack, say=console.say, stopping=stop.is_set)
        try:
            supervisor.start()
            if not stop.is_set():
                greet(settings, logs=logs, keys_module="deploy.native")
                _say_how_to_scale(fetchers)
            supervisor.watch()
        finally:
            supervisor.stop()
    say_stopped()


def _say_how_to_scale(fetchers: int) -> None:
    now = "1 fetcher shares" if fetchers == 1 else f"{fetchers} fetchers share"
    print(
        f"{now} the work; for more: make stack FETCHERS={fetchers * 2}. Ctrl-C stops everything.",
        file=sys.stderr,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
