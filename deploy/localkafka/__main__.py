"""``python -m deploy.localkafka``: serve Kafka's protocol here until Ctrl-C or SIGTERM."""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from deploy.localkafka import Broker, BrokerError
from shared import clock
from shared.exit_codes import exit_code
from shared.telemetry import configure_logging


async def _run(broker: Broker) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await broker.start()
    print(f"Kafka for this machine: {broker.host}:{broker.port}", flush=True)
    await stopped.wait()
    await broker.stop()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m deploy.localkafka", description=__doc__)
    parser.add_argument(
        "--data-dir", type=Path, required=True, help="the folder of topics and committed offsets"
    )
    parser.add_argument("--port", type=int, default=9092, help="0 takes any free port")
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    given = parser.parse_args(arguments)
    configure_logging()
    clock.arm_clock(os.environ.get(clock.VARIABLE, ""))
    clock.warn_if_movable()

    def run() -> None:
        try:
            asyncio.run(_run(Broker(given.data_dir, given.host, given.port)))
        except OSError as error:
            where = f"{given.host}:{given.port} with {given.data_dir}"
            raise BrokerError(
                f"The local broker cannot start on {where}: {error}. Check port and folder."
            ) from error

    return exit_code(run)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
