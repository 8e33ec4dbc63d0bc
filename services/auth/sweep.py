"""What auth does without being asked: refresh ahead of need, resolve what a crash left, forget old flows."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import structlog

from services.auth import credentials, store
from services.auth.context import AuthContext
from services.auth.refresh import RefreshCoordinator
from shared import clock

EVERY_S: Final = 30.0
EARLY_S: Final = 300.0
USED_S: Final = 600.0
DYING_S: Final = 7 * 86_400.0
FORGET_S: Final = 86_400.0
log = structlog.get_logger()


async def sweep(*, coordinator: RefreshCoordinator, context: AuthContext) -> int:
    """One pass; how many connections it refreshed or tried to.

    What nobody used for 10 minutes is left alone, unless its refresh token would die within a week.
    """
    now = context.clock()
    async with context.database.write() as db:
        await store.forget_flows(db, created_before=now - FORGET_S)
        due = await credentials.due(
            db,
            now=now,
            access_before=now + EARLY_S,
            used_since=now - USED_S,
            refresh_before=now + DYING_S,
        )
    await asyncio.gather(
        *(
            _refresh(connection_id, token_version, coordinator, context)
            for connection_id, token_version in due
        )
    )
    return len(due)


async def keep_sweeping(
    stopping: asyncio.Event, *, coordinator: RefreshCoordinator, context: AuthContext
) -> None:
    """Until ``stopping`` is set; a pass that fails is logged, and the next one comes."""
    while not stopping.is_set():
        try:
            await sweep(coordinator=coordinator, context=context)
        except (
            Exception
        ):  # whatever it is: a sweeper that has ended is missed by nobody until tokens die
            log.exception("sweep_failed")
        with contextlib.suppress(TimeoutError):
            async with clock.timeout(EVERY_S):
                await stopping.wait()


async def _refresh(
    connection_id: str, token_version: int, coordinator: RefreshCoordinator, context: AuthContext
) -> None:
    try:
        async with context.database.read() as db:
            connection = await store.get_connection(db, connection_id)
        if connection is not None and connection.token_version == token_version:
            await coordinator.run(connection)
    except Exception:  # whatever it is, the others' turn comes
        log.exception("refresh_failed", connection_id=connection_id)
