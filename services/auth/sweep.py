"""Do what nobody asks for: refresh ahead of need, resolve what a crash left, forget old flows."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import structlog

from services.auth import credentials, store
from services.auth.context import AuthContext
from services.auth.refresh import RefreshCoordinator
from shared import clock

# A tenth of EARLY_S, so that a token gets several passes before it expires.
EVERY_S: Final = 30.0
# As early as a caller would refresh (refresh/token.py), so that callers find it done.
EARLY_S: Final = 300.0
# A token that nobody asked for in ten minutes has no work waiting for it.
USED_S: Final = 600.0
# Refresh tokens may live for 60 days, then only a person can help. A week leaves time for an
# outage.
DYING_S: Final = 7 * 86_400.0
# Long enough for a person to come back and read how the consent ended.
FORGET_S: Final = 86_400.0
log = structlog.get_logger()


async def sweep(*, coordinator: RefreshCoordinator, context: AuthContext) -> int:
    """Make one pass; return how many connections it refreshed or tried to.

    It leaves alone what nobody used for 10 minutes, unless the refresh token would die in a week.
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
    refreshes = [_refresh(*connection, coordinator, context) for connection in due]
    await asyncio.gather(*refreshes)
    return len(due)


async def keep_sweeping(
    stopping: asyncio.Event, *, coordinator: RefreshCoordinator, context: AuthContext
) -> None:
    """Sweep until ``stopping`` is set. A pass that fails is logged, and the next one comes."""
    while not stopping.is_set():
        try:
            await sweep(coordinator=coordinator, context=context)
        except Exception:
            # Catch everything: nobody would notice a dead sweeper until tokens expire.
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
    except Exception:  # whatever it was, the other connections still get their turn
        log.exception("refresh_failed", connection_id=connection_id)
