"""Sync files in rounds (group commit).

Whoever wants its bytes on the disk waits for the next round, and a round syncs every file once.
"""

import asyncio
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple, Protocol

import structlog

from deploy.localkafka.files import sync_data

_logger = structlog.get_logger()
# Syncs of several files share one commit of the file system's journal when they run side by side.
_THREADS: Final = 4


class FlushPoint(NamedTuple):
    """The flusher closes ``fd`` and calls ``done`` or ``failed`` in the event loop."""

    fd: int
    done: Callable[[], None]
    failed: Callable[[], None]


class Flushable(Protocol):
    def flush_point(self) -> FlushPoint | None:
        """Return what to sync, None if everything is durable already.

        Raises:
            OSError: the file cannot be synced.
        """

    def fail(self) -> None:
        """Mark as unreliable whatever was appended since the last sync."""


class Flusher:
    def __init__(self, sync: Callable[[int], None] = sync_data) -> None:
        """Sync with ``sync``, which makes a file durable by its descriptor or raises OSError.

        It runs in threads.
        """
        self._sync_file = sync
        self._waiting: dict[Flushable, None] = {}
        self._round: asyncio.Future[None] | None = None
        self._running: asyncio.Task[None] | None = None
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="local-broker-sync")

    def request(self, logs: Iterable[Flushable]) -> asyncio.Future[None]:
        """Return a future of the moment when all that was appended so far is durable.

        It is also done if a sync has failed.
        """
        self._waiting.update(dict.fromkeys(logs))
        if self._round is None:
            self._round = asyncio.get_running_loop().create_future()
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        # Shielded: a client that hangs up cancels its own waiting, not that of all others.
        return asyncio.shield(self._round)

    async def close(self) -> None:
        if self._running is not None:
            await self._running
        self._threads.shutdown()

    async def _run(self) -> None:
        while self._round is not None:
            logs, finished = list(self._waiting), self._round
            self._waiting, self._round = {}, None
            points = [point for log in logs if (point := _flush_point(log)) is not None]
            try:
                await self._sync(points)
            except Exception:
                _logger.exception("local_broker_sync_failed")
                for point in points:
                    point.failed()
            if not finished.done():
                finished.set_result(None)
        self._running = None

    async def _sync(self, points: list[FlushPoint]) -> None:
        loop = asyncio.get_running_loop()
        shares = [points[first::_THREADS] for first in range(min(_THREADS, len(points)))]
        results = await asyncio.gather(
            *(loop.run_in_executor(self._threads, self._sync_all, share) for share in shares)
        )
        for share, synced in zip(shares, results, strict=True):
            for point, ok in zip(share, synced, strict=True):
                (point.done if ok else point.failed)()

    def _sync_all(self, points: list[FlushPoint]) -> list[bool]:
        synced = []
        for point in points:
            try:
                self._sync_file(point.fd)
            except OSError:
                _logger.exception("local_broker_sync_failed")
                synced.append(False)
            else:
                synced.append(True)
            finally:
                os.close(point.fd)
        return synced


def _flush_point(log: Flushable) -> FlushPoint | None:
    try:
        return log.flush_point()
    except OSError:
        _logger.exception("local_broker_sync_failed")
        log.fail()
        return None
