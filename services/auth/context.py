"""Define the context that every verb of auth is handed.

Verbs take it as an argument, so that a test can run one without the application.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from services.auth.oauth_client.endpoint import TokenEndpoint
from shared.clock import now
from shared.crypto import KeyRing
from shared.db import Database


@dataclass(frozen=True, kw_only=True)
class AuthContext:
    """Everything that a verb may use. ``endpoints`` are by provider slug.

    ``clock`` returns epoch seconds. ``public_url`` is the gateway's origin as browsers see it.
    """

    database: Database
    keyring: KeyRing = field(repr=False)
    endpoints: Mapping[str, TokenEndpoint]
    public_url: str
    clock: Callable[[], float] = now


InjectedContext = NamedDependency[SkipValidation[AuthContext]]
"""The type by which a handler asks for the context."""
