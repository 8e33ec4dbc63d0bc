"""One refresh per connection in this process; the journal does the same between processes."""

from __future__ import annotations

import asyncio
from typing import Final, final

import structlog

from services.auth.context import AuthContext
from services.auth.refresh.refresh import refresh
from shared.contracts.connections import Connection

_STOP_S: Final = 3.0
log = structlog.get_logger()


@final
class RefreshCoordinator:
    """A refresh runs in a task of its own: a caller that goes away must not cut off an answer with new tokens in it."""

    def __init__(self, context: AuthContext) -> None:
        self._context = context
        self._running: dict[str, asyncio.Task[None]] = {}

    async def run(self, connection: Connection) -> None:
        """Refresh unless ``connection.token_version`` has passed already; joins what is under way.

        Raises ``BadRequest`` when the provider is no longer set up, ``UnknownKey`` when a key is missing.
        """
        task = self._running.get(connection.id)
        if task is None:
            endpoint = self._context.endpoint(connection.provider)
            work = refresh(connection.id, connection.token_version, endpoint, context=self._context)
            task = asyncio.create_task(work, name=f"refresh {connection.id}")
            self._running[connection.id] = task
            task.add_done_callback(lambda done: self._ended(connection.id, done))
        await asyncio.shield(task)

    async def stop(self) -> None:
        """Give running refreshes 3 s to store their answer; what is cut off then stands in the journal."""
        running = list(self._running.values())
        if not running:
            return
        _, late = await asyncio.wait(running, timeout=_STOP_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _ended(self, connection_id: str, task: asyncio.Task[None]) -> None:
        self._running.pop(connection_id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("refresh_broke", connection=connection_id, exc_info=error)
