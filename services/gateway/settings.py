"""What the gateway is given by whoever composes it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from shared.connector import Provider
from shared.settings import SecretStr


class Offered(msgspec.Struct, frozen=True, kw_only=True):
    """A provider that can be connected here; ``origins`` are where its consent pages live."""

    provider: Provider
    simulated: bool
    origins: tuple[str, ...] = ()


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True):
    """``public_url`` is the only address we ever show; it is never taken from a request."""

    database: Path
    bootstrap: str
    auth_url: str
    service_secret: SecretStr
    signing_secret: SecretStr
    providers: dict[str, Offered]
    public_url: str
    allowed_origins: tuple[str, ...] = ("http://localhost:3000",)
    hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
    ready_urls: tuple[str, ...] = ()
    """Health addresses that must answer before the gateway calls itself ready."""
