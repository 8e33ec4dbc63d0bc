"""The context that every verb of the gateway is handed, and the signal that wakes waiting readers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from services.gateway.auth_client import AuthClient
from services.gateway.settings import GatewaySettings
from services.gateway.throttle import Throttle
from shared.crypto import Signer
from shared.db import Database
from shared.errors import Forbidden

POLL_S: Final = 0.5


class Watch:
    """``changed`` wakes every waiter; a waiter that misses it looks again by itself."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def changed(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def wait(self, seconds: float = POLL_S) -> None:
        """Return at the next change, or after ``seconds``."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await waiter
        self._waiters.discard(waiter)


@dataclass(frozen=True, kw_only=True)
class GatewayContext:
    """Open while the gateway runs.

    ``log_ids`` tells the identity of each topic's log, for which positions are stored. ``served`` tells whether a path
    of ours, without its query, is a page that a browser can be sent to. ``org`` is the organisation whose rows are seen
    and changed, for all others there are none; None is everyone's.
    """

    settings: GatewaySettings
    database: Database
    auth: AuthClient
    watch: Watch
    log_ids: Mapping[str, str]
    page_tokens: Signer
    handles: Signer
    served: Callable[[str], bool]
    throttle: Throttle = field(default_factory=Throttle)
    org: str | None = None

    def check_org(self, org_id: str) -> None:
        """Raises ``Forbidden`` when something is to be made for, or read of, another organisation by name."""
        if not self.sees(org_id):
            raise Forbidden(
                "The key is for another organisation than org_id names.", code="foreign_org"
            )

    def sees(self, org_id: str | None) -> bool:
        """Whether a filter by ``org_id`` can find anything; None filters nothing."""
        return self.org is None or org_id in {None, self.org}


InjectedContext = NamedDependency[SkipValidation[GatewayContext]]
"""How a handler asks for it; checking each time that it is one would cost more than many a request."""
