"""What the person at the terminal sees: every process's lines under its name."""

from __future__ import annotations

import sys
import threading
from typing import Final

from deploy.servers import Sink
from shared.settings import Settings

WIDTH: Final = 10
COLOURS: Final = (36, 33, 35, 32, 34, 96, 93, 95, 92, 94)
SELF: Final = "stack"


class Console:
    """Lines of several threads, none of them torn."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._colours: dict[str, int] = {}
        self._plain = not sys.stderr.isatty()

    def sink(self, name: str) -> Sink:
        prefix = self._prefix(name)

        def show(line: str) -> None:
            with self._lock:
                sys.stderr.write(f"{prefix}{line}\n")
                sys.stderr.flush()

        return show

    def _prefix(self, name: str) -> str:
        if self._plain:
            return f"{name:<{WIDTH}}| "
        colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
        return f"\033[{colour}m{name:<{WIDTH}}|\033[0m "


def greet(settings: Settings, fetchers: int) -> None:
    url = settings.public_url
    print(f"Console         {url}")
    print(f"API docs        {url}/docs")
    print(f"Events docs     {url}/events")
    print(f"Kafka bootstrap {settings.kafka.bootstrap}", flush=True)
    some = "1 fetcher shares" if fetchers == 1 else f"{fetchers} fetchers share"
    print(
        f"{some} the work; for more: make stack FETCHERS={fetchers * 2}. Ctrl-C stops all of it.",
        file=sys.stderr,
    )
