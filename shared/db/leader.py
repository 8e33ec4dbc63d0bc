"""Elect one leader among all processes that share a database.

The leader alone does what must not be done twice at the same time. On PostgreSQL it holds an
advisory lock of a session, which ends when the process dies or has been paused for ``IDLE_S``; on
SQLite it holds a file lock of the kernel. The session also hears of other processes' commits.
"""

from __future__ import annotations

import asyncio
import fcntl
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TextIO

import asyncpg
from typing_extensions import override

from shared.db.engines import COMMAND_S, Location, Schema

IDLE_S: Final = 10.0
CERTAIN_SHARE: Final = 0.4
"""The share of ``IDLE_S`` for which a confirmed lock counts without asking again: well below 1, so
that no other process can lead by then."""
ASK_SHARE: Final = 0.2
CLOSE_S: Final = 1.0
"""The longest wait for the answer to a question under way, and for the session to close."""


class LeaderLock(ABC):
    """The lock that makes this process the leader."""

    @abstractmethod
    async def acquire(self) -> bool:
        """Take or confirm the lock; return False at once if another process leads."""

    @abstractmethod
    def is_certain(self) -> bool:
        """Return True if it was confirmed so recently that nobody else can lead yet."""

    @abstractmethod
    async def close(self) -> None: ...


def leader_lock(
    location: Location, on_notification: Callable[[], None], *, idle_s: float = IDLE_S
) -> LeaderLock:
    """Return the lock for the tables at ``location``.

    ``on_notification`` is called when another process has committed with ``notify_on_commit``.
    ``idle_s`` is how long a leader on PostgreSQL may be paused before another one takes over.
    """
    if isinstance(location, Schema):
        return _SessionLock(location, on_notification, idle_s)
    return _FileLock(location)


def channel(schema: Schema) -> str:
    """Return the channel of PostgreSQL's NOTIFY on which processes hear of commits."""
    return f"tributary_{schema.name}_commits"


class _FileLock(LeaderLock):
    def __init__(self, path: Path) -> None:
        # Every version of the product has to use this same file.
        self._path = path.with_name(f"{path.name}.lead")
        self._file: TextIO | None = None
        # Something in its place would otherwise only be noticed by a relay that never sends.
        self._path.open("a").close()

    @override
    async def acquire(self) -> bool:
        if self._file is None:
            file = self._path.open("w")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.close()
                return False
            self._file = file
        return True

    @override
    def is_certain(self) -> bool:
        return self._file is not None

    @override
    async def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class _SessionLock(LeaderLock):
    def __init__(self, schema: Schema, on_notification: Callable[[], None], idle_s: float) -> None:
        self._schema, self._on_notification = schema, on_notification
        self._idle_s = idle_s
        self._certain_s = idle_s * CERTAIN_SHARE
        self._ask_s = idle_s * ASK_SHARE
        self._session: Any = None
        self._asking: asyncio.Task[bool] | None = None
        self._leads = False
        self._confirmed = 0.0

    @override
    async def acquire(self) -> bool:
        """Take or confirm the lock in the session, which is opened if needed.

        Raises ``OSError`` or asyncpg's errors if the database is away; then this process does not
        lead. A caller that is cancelled leaves the lock as it is.
        """
        if self._confirmed_within(self._ask_s):
            return True
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(), name="leader lock")
        # A statement that is cut off ends the session. Then another process would lead, perhaps
        # while this one's producer still holds messages.
        return await asyncio.shield(self._asking)

    async def _ask(self) -> bool:
        asked = time.monotonic()
        try:
            session = await self._open()
            if self._leads:
                await session.execute("SELECT 1")
            else:
                wanted = f"{self._schema.name}:lead"
                self._leads = await session.fetchval(
                    "SELECT pg_try_advisory_lock(hashtextextended($1, 0))", wanted
                )
        except BaseException:
            self._end()
            raise
        self._confirmed = asked
        return self._leads

    @override
    def is_certain(self) -> bool:
        return self._confirmed_within(self._certain_s)

    def _confirmed_within(self, seconds: float) -> bool:
        if not self._leads or self._session.is_closed():
            return False
        return time.monotonic() - self._confirmed < seconds

    @override
    async def close(self) -> None:
        await self._asked()
        session, self._session, self._leads = self._session, None, False
        if session is not None and not session.is_closed():
            with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await session.close(timeout=CLOSE_S)

    async def _asked(self) -> None:
        """Wait until nobody asks any more; cut off a question after ``CLOSE_S`` seconds."""
        if self._asking is None:
            return
        answered, _ = await asyncio.wait([self._asking], timeout=CLOSE_S)
        if not answered:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    async def _open(self) -> Any:
        if self._session is not None and not self._session.is_closed():
            return self._session
        self._end()
        self._session = await asyncpg.connect(
            self._schema.url.reveal(),
            timeout=self._schema.connect_s,
            command_timeout=min(COMMAND_S, self._certain_s),
            server_settings={
                "idle_session_timeout": f"{int(self._idle_s * 1000)}ms",
                "application_name": f"tributary {self._schema.name} leader",
            },
        )
        await self._session.add_listener(channel(self._schema), self._heard)
        return self._session

    def _heard(self, *_: Any) -> None:
        self._on_notification()

    def _end(self) -> None:
        session, self._session, self._leads = self._session, None, False
        if session is not None:
            with suppress(asyncpg.InterfaceError):
                session.terminate()
