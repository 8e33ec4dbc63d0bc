"""Run other processes on a test's tables."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from shared.db import Schema
from tests.contract.child import PLACE, described
from tests.support.processes import ROOT

WITHIN_S = 60.0


@asynccontextmanager
async def child(place: Path | Schema, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a child while the block is open, and kill it at the end if it is still running."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.contract.child",
        *arguments,
        cwd=ROOT,
        env={**os.environ, PLACE: described(place)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def done(process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(WITHIN_S):
        assert await process.wait() == 0


async def says(process: asyncio.subprocess.Process) -> str:
    """Return its next line."""
    assert process.stdout is not None
    async with asyncio.timeout(WITHIN_S):
        return (await process.stdout.readline()).decode().strip()
