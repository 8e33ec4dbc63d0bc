"""Run a service or a command as a process of its own.

That means settings, logging, a clean end at a signal, and an exit code.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import structlog

from shared import clock
from shared.exit_codes import exit_code
from shared.failpoints import VARIABLE as FAILPOINT
from shared.failpoints import arm_failpoint
from shared.installation import addresses, provider_defaults
from shared.serve import Served, StartFailed, bind
from shared.settings import Settings, SettingsError, load_settings
from shared.telemetry import configure_logging
from shared.telemetry.middleware import App

PATIENCE_S: Final = 60.0
AGAIN_S: Final = 1.0
COLLECT_AT: Final = 10_000
"""The number of new objects at which the garbage collector looks at them."""

log = structlog.get_logger()


def serve_alone(name: str, make_app: Callable[[Settings], App]) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    return exit_code(lambda: _serve(name, make_app))


def run_command(run: Callable[[Settings], Coroutine[Any, Any, int]], *, needs: str) -> int:
    """Run a command, possibly beside running services; return its exit code.

    ``needs`` names what it depends on.
    """
    # If Kafka is away, the exit message says so once; aiokafka would log every attempt.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)

    def with_settings() -> int:
        settings = load_settings(os.environ, Path(".env"), providers=provider_defaults())
        _arm(settings)
        return asyncio.run(run(settings))

    return exit_code(with_settings, needs=needs)


def read_settings() -> Settings:
    """Read settings from the environment and ``.env``, and set up logging.

    Raises ``SettingsError``.
    """
    settings = load_settings(os.environ, Path(".env"), providers=provider_defaults())
    configure_logging(settings.log_level, settings.log_format)
    _arm(settings)
    clock.warn_if_movable()
    return settings


def _arm(settings: Settings) -> None:
    """Let tests stop this process and move its clock, if the environment says so.

    Raises ``SettingsError``.
    """
    arm_failpoint(os.environ.get(FAILPOINT, ""))
    file = os.environ.get(clock.VARIABLE, "")
    if file and not settings.on_loopback:
        problem = (
            f"{clock.VARIABLE} lets tests move the clock, but TRIBUTARY_HOST or "
            "TRIBUTARY_INTERNAL_HOST is not loopback. Remove the variable, or listen on loopback."
        )
        raise SettingsError([problem])
    clock.arm_clock(file)


def _serve(name: str, make_app: Callable[[Settings], App]) -> None:
    settings = read_settings()
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    port = getattr(settings, f"{name}_port")
    sockets = bind(
        port, what=name, setting=f"TRIBUTARY_{name.upper()}_PORT", host=addresses(settings)[name]
    )
    asyncio.run(_until_told(lambda: Served(name, make_app(settings), sockets)))


def spare_collector() -> None:
    """Let the garbage collector work less; to be called once, when everything is loaded.

    What is loaded by now stays loaded, so the collector need not look at it again. Items and rows
    hold no cycles, and with Python's own threshold, looking for some takes a tenth of a load.
    """
    gc.freeze()
    gc.set_threshold(COLLECT_AT)


async def _until_told(make: Callable[[], Served]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    served = await _started(make, stop)
    if served is not None:
        spare_collector()
        await stop.wait()
        await served.stop()


async def _started(make: Callable[[], Served], stop: asyncio.Event) -> Served | None:
    """Return the started server, None if it was told to stop before.

    A database or Kafka that is away just now is waited for.

    Raises:
        StartFailed: it cannot start, or what it needs was not back within ``PATIENCE_S``.
    """
    end = time.monotonic() + PATIENCE_S
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        while not stop.is_set():
            served = make()
            starting = asyncio.create_task(served.start(), name="start")
            await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                await _abandoned(starting, served)
                return None
            error = starting.exception()
            if error is None:
                return served
            if time.monotonic() > end or not isinstance(error, StartFailed) or not error.passing:
                raise error
            log.warning("start_waits", reason=str(error)[:300])
            await asyncio.wait([stopping], timeout=AGAIN_S)
        return None
    finally:
        stopping.cancel()


async def _abandoned(starting: asyncio.Task[None], served: Served) -> None:
    starting.cancel()
    await asyncio.wait([starting])
    await served.stop()
