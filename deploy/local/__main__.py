"""``python -m deploy.local``: run the whole product on this machine until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from typing import Final

from deploy.greeting import greet, logs_folder, say_stopped
from deploy.local.compose import broker_folder, compose
from deploy.local.stack import running
from deploy.localkafka import check_layout
from deploy.stores import check_stores
from shared.exit_codes import exit_code
from shared.process import read_settings, spare_collector
from shared.settings import Settings
from shared.telemetry import LogFile, configure_logging

LOG_NAME: Final = "tributary.log"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m deploy.local", description=__doc__)
    parser.add_argument(
        "--no-sandbox", action="store_true", help="the sandbox runs in a process of its own"
    )
    given = parser.parse_args(arguments)

    def run() -> None:
        asyncio.run(_run(read_settings(), sandbox=not given.no_sandbox))

    return exit_code(run)


async def _run(settings: Settings, *, sandbox: bool) -> None:
    # Nothing is written before the layouts are known to be ours.
    await check_stores(settings)
    folder = broker_folder(settings)
    if folder is not None:
        check_layout(folder)
    made = compose(settings)
    log = logs_folder(settings) / LOG_NAME
    configure_logging(settings.log_level, settings.log_format, file=LogFile(log))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with running(made, sandbox=sandbox):
        spare_collector()
        greet(settings, logs=log, keys_module="services.gateway")
        print(
            "Ctrl-C stops it. Syncs that are running continue at the next start.", file=sys.stderr
        )
        await stop.wait()
    say_stopped()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
