"""Run the built-in broker behind a proxy: ``python -m tests.chaos.broker FOLDER PORT ADVERTISED``.

Clients reconnect to the address that a broker names in its answers, so that has to be the proxy's.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import structlog
from typing_extensions import override

from deploy.localkafka import Broker
from deploy.localkafka.node import Node
from shared.clock import VARIABLE, arm_clock


class Advertised(Broker):
    """Listen on one port and tell clients another."""

    def __init__(self, data_dir: Path, port: int, advertised: int) -> None:
        super().__init__(data_dir, port=port)
        self._advertised = advertised

    @override
    async def _open_node(self, opened: AsyncExitStack) -> Node:
        node = await super()._open_node(opened)
        return dataclasses.replace(node, port=self._advertised)


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
    asyncio.run(serve(Advertised(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
