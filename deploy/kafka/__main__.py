"""``python -m deploy.kafka FOLDER``: run one Kafka node until Ctrl-C or SIGTERM.

Its data stays in the folder.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from deploy.kafka.node import Kafka
from deploy.servers import Ended
from shared.exit_codes import Misuse, exit_code


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m deploy.kafka", description=__doc__)
    parser.add_argument("folder", type=Path, help="the folder of its configuration and log")
    parser.add_argument(
        "--port", type=int, default=9092, help="0 takes a free port (default: 9092)"
    )
    given = parser.parse_args(arguments)
    return exit_code(lambda: _serve(given.folder, given.port))


def _serve(folder: Path, port: int) -> None:
    try:
        kafka = Kafka(folder, port=port, sink=lambda line: print(line, file=sys.stderr), tied=True)
    except OSError as error:
        raise Misuse(
            f"Port {port} cannot be used ({error.strerror}). Choose another with --port."
        ) from None
    try:
        _run(kafka)
    finally:
        kafka.close()


def _run(kafka: Kafka) -> None:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    kafka.start(stop.is_set)
    print(f"Kafka bootstrap {kafka.bootstrap}", flush=True)
    while not stop.wait(0.2):
        if not kafka.alive:
            raise Ended(f"Kafka ended with status {kafka.status}:\n{kafka.tail()}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
