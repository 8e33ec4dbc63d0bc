"""The gateway's settings, as its composer passes them."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from shared.connector import Provider
from shared.crypto import load_or_make_secret
from shared.db import Location
from shared.installation import database_location, provider_runtimes, service_secret
from shared.settings import Cluster, SecretStr, Settings
from shared.web import LOOPBACK


class ConfiguredProvider(msgspec.Struct, frozen=True, kw_only=True):
    """A provider that can be connected here; simulated when no client id of a real app is set."""

    provider: Provider
    simulated: bool


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway's settings.

    ``public_url`` is the only address it shows; no request can change it.
    """

    database: Location
    kafka: Cluster
    auth_url: str
    service_secret: SecretStr
    signing_secret: SecretStr
    providers: dict[str, ConfiguredProvider]
    public_url: str
    allowed_origins: tuple[str, ...] = ("http://localhost:3000",)
    hosts: tuple[str, ...] = LOOPBACK
    keys_required: bool = False
    """Every request must send an API key; the console asks for one."""
    ready_urls: tuple[str, ...] = ()
    """Health addresses that must answer before the gateway reports that it is ready."""


def gateway_settings(settings: Settings, *, ready_urls: tuple[str, ...]) -> GatewaySettings:
    """Return the gateway's part of the settings.

    Raises:
        SecretFileRefused: a file in the data folder is unsafe or damaged.
    """
    return GatewaySettings(
        database=database_location(settings, "gateway"),
        kafka=settings.kafka,
        auth_url=settings.auth_url,
        service_secret=service_secret(settings),
        signing_secret=load_or_make_secret(settings.data_dir / "signing-secret"),
        providers={
            slug: ConfiguredProvider(provider=runtime.provider, simulated=runtime.simulated)
            for slug, runtime in provider_runtimes(settings).items()
        },
        public_url=settings.public_url,
        allowed_origins=settings.allowed_origins,
        hosts=(*LOOPBACK, urlsplit(settings.public_url).hostname or "localhost"),
        keys_required=settings.keys_required,
        ready_urls=ready_urls,
    )
