"""What auth does without being asked: refresh ahead of need, resolve what a crash left, forget old flows."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import structlog

from services.auth.call import Means
from services.auth.refresh import Refreshes
from services.auth.store import connections, credentials, flows

EVERY_S: Final = 30.0
EARLY_S: Final = 300.0
USED_S: Final = 600.0
DYING_S: Final = 7 * 86_400.0
FORGET_S: Final = 86_400.0
_log = structlog.get_logger("tributary.auth")


async def sweep(*, refreshes: Refreshes, means: Means) -> int:
    """One pass; how many connections it refreshed or tried to.

    What nobody used for 10 minutes is left alone, unless its refresh token would die within a week.
    """
    now = means.clock()
    async with means.database.write() as tx:
        await flows.forget(tx, created_before=now - FORGET_S)
        due = await credentials.due(
            tx, now=now, access_before=now + EARLY_S, used_since=now - USED_S, refresh_before=now + DYING_S
        )
    await asyncio.gather(*(_refresh(connection_id, epoch, refreshes, means) for connection_id, epoch in due))
    return len(due)


async def keep_sweeping(stopping: asyncio.Event, *, refreshes: Refreshes, means: Means) -> None:
    """Until ``stopping`` is set; a pass that fails is logged, and the next one comes."""
    while not stopping.is_set():
        try:
            await sweep(refreshes=refreshes, means=means)
        except Exception:  # noqa: BLE001  # whatever it is: a sweeper that has ended is missed by nobody until tokens die
            _log.exception("sweep_failed")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(EVERY_S):
                await stopping.wait()


async def _refresh(connection_id: str, epoch: int, refreshes: Refreshes, means: Means) -> None:
    try:
        async with means.database.read() as tx:
            connection = await connections.get(tx, connection_id)
        if connection is not None and connection.epoch == epoch:
            await refreshes.run(connection)
    except Exception:  # noqa: BLE001  # whatever it is, the others' turn comes
        _log.exception("refresh_failed", connection=connection_id)
