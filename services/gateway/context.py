"""The context that every verb is handed, and the signal that wakes waiting readers."""

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

# A change that commits between a look and the wait wakes nobody, nor does one that another process
# folds. Both are seen half a second late.
POLL_S: Final = 0.5


class Watch:
    """A signal that wakes every waiter. A waiter that misses it wakes by itself after a moment."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def changed(self) -> None:
        for waiter in self._waiters:
            # A waiter that has timed out is done, and stays in the set until its task runs again.
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
    """Everything the verbs work with, open while the gateway runs.

    ``log_ids`` holds the identity of each topic's log; positions are stored for one log. ``served``
    says whether a path of ours, without its query, is a page that a browser can be sent to. ``org``
    is the only organisation whose rows can be seen and changed; None means all of them.
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
        """Raise ``Forbidden`` when a request names another organisation than the caller's."""
        if not self.sees(org_id):
            raise Forbidden(
                "This key belongs to a different organisation than org_id.", code="foreign_org"
            )

    def sees(self, org_id: str | None) -> bool:
        """Return True if a filter by ``org_id`` can match anything; None does not filter."""
        return self.org is None or org_id in {None, self.org}


InjectedContext = NamedDependency[SkipValidation[GatewayContext]]
"""The type by which a handler asks for the context.

Validation is skipped: it would cost more than many a request.
"""
