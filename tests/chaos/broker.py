"""Run the built-in broker behind a proxy: ``python -m tests.chaos.broker FOLDER PORT ADVERTISED``.

Clients reconnect to the address that a broker names in its answers, so that has to be the proxy's.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

import structlog

from deploy.localkafka import Broker
from shared.clock import VARIABLE, arm_clock


async def serve(broker: Broker) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await broker.start()
    await stopped.wait()
    await broker.stop()


if __name__ == "__main__":
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    arm_clock(os.environ.get(VARIABLE, ""))
    folder, port, advertised = sys.argv[1:]
    asyncio.run(serve(Broker(Path(folder), port=int(port), advertised_port=int(advertised))))
