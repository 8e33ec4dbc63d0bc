"""The context that every verb of auth is handed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from services.auth.oauth_client.endpoint import TokenEndpoint
from shared.clock import now
from shared.crypto import KeyRing
from shared.db import Database


@dataclass(frozen=True, kw_only=True)
class AuthContext:
    """``endpoints`` by provider slug; ``clock`` gives epoch seconds; ``public_url`` is the gateway's origin."""

    database: Database
    keyring: KeyRing = field(repr=False)
    endpoints: Mapping[str, TokenEndpoint]
    public_url: str
    clock: Callable[[], float] = now
