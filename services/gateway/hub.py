"""What every verb of the gateway may use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from services.gateway.clients import AuthClient
from services.gateway.settings import GatewaySettings, Offered
from services.gateway.watch import Watch
from shared.crypto import Signer
from shared.db import Database
from shared.errors import BadRequest


@dataclass(frozen=True, kw_only=True)
class Hub:
    """Open while the gateway runs.

    ``log_id`` is the identity of the log whose positions are stored. ``served`` tells whether a path of ours, without
    its query, is a page that a browser can be sent to.
    """

    settings: GatewaySettings
    database: Database
    auth: AuthClient
    watch: Watch
    log_id: str
    page_tokens: Signer
    handles: Signer
    served: Callable[[str], bool]

    def offered(self, slug: str) -> Offered:
        """Raises ``BadRequest``."""
        found = self.settings.providers.get(slug)
        if found is None:
            known = ", ".join(self.settings.providers)
            raise BadRequest(f"There is no provider of that name here. Known: {known}.", code="unknown_provider")
        return found
