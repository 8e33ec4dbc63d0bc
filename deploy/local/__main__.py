"""``python -m deploy.local``: run the whole product on this machine until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal
import sys
from typing import Final

from deploy.local.compose import Composition, broker_folder, compose
from deploy.local.stack import running
from deploy.localkafka import check_layout
from deploy.stores import check_stores
from shared.exit_codes import exit_code
from shared.process import read_settings
from shared.settings import Settings

_KEYS_REQUIRED: Final = (
    "API keys are required: the address or the public URL is not loopback. "
    "Make one: python -m services.gateway keys create --org ORG --scope admin --name NAME"
)


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
    await check_stores(settings)
    folder = broker_folder(settings)
    if folder is not None:
        check_layout(folder)
    made = compose(settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with running(made, sandbox=sandbox):
        gc.freeze()  # what is loaded by now stays: later collections need not look at it
        _greet(made)
        print("Ctrl-C stops it; a load that is running goes on at the next start.", file=sys.stderr)
        await stop.wait()


def _greet(made: Composition) -> None:
    url = made.settings.public_url
    print(f"Console         {url}")
    print(f"API docs        {url}/docs")
    print(f"Events docs     {url}/events")
    print(f"Kafka bootstrap {made.kafka.bootstrap}", flush=True)
    if made.settings.keys_required:
        print(_KEYS_REQUIRED, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
