"""``python -m deploy.kafka FOLDER``: one Kafka node until Ctrl-C or SIGTERM; its data stay in the folder."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from deploy.kafka.node import Kafka
from deploy.servers import Ended, Unavailable


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m deploy.kafka", description=__doc__)
    parser.add_argument("folder", type=Path, help="configuration and log")
    parser.add_argument("--port", type=int, default=9092, help="0 takes a free one (default: 9092)")
    given = parser.parse_args(arguments)
    try:
        kafka = Kafka(given.folder, port=given.port, sink=lambda line: print(line, file=sys.stderr), tied=True)
    except OSError as error:
        return _refuse(f"Port {given.port} cannot be taken ({error.strerror}): choose another with --port.")
    try:
        return _run(kafka)
    except (Ended, Unavailable) as error:
        return _refuse(str(error))
    finally:
        kafka.close()


def _run(kafka: Kafka) -> int:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    kafka.start(stop.is_set)
    print(f"Kafka bootstrap {kafka.bootstrap}", flush=True)
    while not stop.wait(0.2):
        if not kafka.alive:
            return _refuse(f"Kafka ended with status {kafka.status}.")
    return 0


def _refuse(why: str) -> int:
    print(why, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
