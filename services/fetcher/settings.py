"""What the fetcher is given by whoever composes it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from shared.connector import Provider
from shared.settings import SecretStr


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """A provider as it is reached here: ``api_url`` is the real one, an override, or the sandbox's."""

    provider: Provider
    client_id: str
    api_url: str


class FetcherSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``alone``: no other fetcher shares the database, so at start every claim found is a dead one's."""

    database: Path
    bootstrap: str
    auth_url: str
    service_secret: SecretStr
    providers: dict[str, Runtime]
    redis_url: str | None = None
    hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
    slots: int = 8
    max_pages: int | None = None
    alone: bool = True
