"""Describe where Kafka is, and how to sign in."""

from __future__ import annotations

from pathlib import Path

import msgspec

from shared.settings.secret import SecretStr


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """A Kafka cluster. ``bootstrap`` is host:port, several separated by commas.

    ``protocol`` and ``mechanism`` are Kafka's own names.
    """

    bootstrap: str
    protocol: str = "PLAINTEXT"
    mechanism: str = "SCRAM-SHA-512"
    username: str | None = None
    password: SecretStr | None = None
    cafile: Path | None = None
    certfile: Path | None = None
    keyfile: Path | None = None

    @property
    def signs_in(self) -> bool:
        return self.protocol.startswith("SASL")

    @property
    def encrypted(self) -> bool:
        return self.protocol.endswith("SSL")
