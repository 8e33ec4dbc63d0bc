"""Where a service's tables are."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

import msgspec

from shared.settings import SecretStr


class Schema(msgspec.Struct, frozen=True, kw_only=True):
    """A schema of a PostgreSQL database, made when it is not there. ``url`` is ``postgresql://…``."""

    url: SecretStr
    name: str

    def for_driver(self) -> str:
        """The URL as SQLAlchemy takes it for asyncpg."""
        parts = urlsplit(self.url.reveal())
        query = parts.query.replace("sslmode=", "ssl=")
        return urlunsplit(parts._replace(scheme="postgresql+asyncpg", query=query))
