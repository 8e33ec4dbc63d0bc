import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

import structlog

from deploy.localkafka import Broker, BrokerError
from shared.exit_codes import exit_code


async def _run(broker: Broker) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await broker.start()
    print(f"Kafka for this machine: {broker.host}:{broker.port}", flush=True)
    await stopped.wait()
    await broker.stop()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.localkafka", description="Kafka for one machine.")
    parser.add_argument("--data-dir", type=Path, required=True, help="where topics and committed offsets live")
    parser.add_argument("--port", type=int, default=9092, help="0 takes any free one")
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    wanted = parser.parse_args()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )

    def run() -> None:
        try:
            asyncio.run(_run(Broker(wanted.data_dir, wanted.host, wanted.port)))
        except OSError as error:
            where = f"{wanted.host}:{wanted.port} with {wanted.data_dir}"
            raise BrokerError(f"The local broker cannot start on {where}: {error}") from error

    return exit_code(run)


if __name__ == "__main__":
    sys.exit(main())
