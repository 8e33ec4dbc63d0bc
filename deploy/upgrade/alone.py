"""Make sure that no service of the installation runs while its stores are changed."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from deploy.lock import hold
from deploy.stores import SANDBOX, databases
from shared.db import Schema, leader_lock, other_sessions
from shared.exit_codes import Refusal
from shared.settings import Settings

SETTLE_S: Final = 5.0
"""The time for which sessions of services that were just stopped may linger."""
POLL_S: Final = 0.2
STOP_FIRST: Final = "Stop all services of this installation first, on every machine, then repeat."


async def hold_alone(settings: Settings, stack: AsyncExitStack) -> None:
    """Take the locks of running services, until ``stack`` ends.

    Raises:
        Refusal: a service runs.
        AlreadyRunning: the sandbox runs.
    """
    for location in databases(settings).values():
        if isinstance(location, Schema):
            await _no_sessions(location)
        elif location.exists():
            await _lead(location, stack)
    if (settings.data_dir / SANDBOX).exists():
        refusal = f"The sandbox is running on {settings.data_dir}. {STOP_FIRST}"
        stack.callback(hold(settings.data_dir / f"{SANDBOX}.lock", refusal).close)


async def _lead(path: Path, stack: AsyncExitStack) -> None:
    leader = leader_lock(path, lambda: None)
    if not await leader.acquire():
        raise Refusal(f"A service is running on {path}. {STOP_FIRST}")
    stack.push_async_callback(leader.close)


async def _no_sessions(schema: Schema) -> None:
    end = time.monotonic() + SETTLE_S
    while found := await other_sessions(schema):
        if time.monotonic() > end:
            raise Refusal(
                f"Services are running: {found} of their connections to the database are open. "
                f"{STOP_FIRST}"
            )
        await asyncio.sleep(POLL_S)
