"""What auth needs to run; the composer builds it, nothing here reads the environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from shared.connector import Provider
from shared.crypto import KeyRing
from shared.settings import SecretStr


class ProviderRuntime(msgspec.Struct, frozen=True, kw_only=True):
    """A provider as this installation uses it. ``client_secret`` None: a public client, where the provider takes one.

    The URLs are complete and without a trailing slash; ``scopes`` are those asked for.
    """

    provider: Provider
    client_id: str
    client_secret: SecretStr | None
    scopes: tuple[str, ...]
    authorize_url: str
    token_url: str
    api_url: str


class AuthSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``public_url`` is the gateway's origin as browsers see it; ``providers`` by slug; ``kafka`` is host:port.

    ``hosts`` are the names that a request may be addressed to, without port.
    """

    database: Path
    keyring: KeyRing
    service_secret: SecretStr
    public_url: str
    providers: Mapping[str, ProviderRuntime]
    kafka: str
    hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
