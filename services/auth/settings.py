"""Define the settings of auth, and pick them from those of the installation.

Nothing here reads the environment: the composer does.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from shared.crypto import KeyRing, load_keyring
from shared.db import Location
from shared.installation import (
    ProviderRuntime,
    database_location,
    hosts,
    provider_runtimes,
    service_secret,
)
from shared.settings import Cluster, SecretStr, Settings
from shared.web import LOOPBACK


class AuthSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of auth. ``public_url`` is the gateway's origin, ``providers`` are by slug.

    ``hosts`` are the names that a request may be addressed to, without port.
    """

    database: Location
    keyring: KeyRing
    service_secret: SecretStr
    public_url: str
    providers: Mapping[str, ProviderRuntime]
    kafka: Cluster
    hosts: tuple[str, ...] = LOOPBACK


def auth_settings(settings: Settings) -> AuthSettings:
    """Return auth's part of the installation's settings.

    Raises:
        SecretFileRefused: a secret's file can be read by others, or is damaged.
    """
    return AuthSettings(
        database=database_location(settings, "auth"),
        keyring=load_keyring(settings.keys, settings.data_dir / "keys"),
        service_secret=service_secret(settings),
        public_url=settings.public_url,
        providers=provider_runtimes(settings),
        kafka=settings.kafka,
        hosts=hosts(settings, "auth"),
    )
