"""Define the settings of the fetcher, and pick them from those of the installation."""

from __future__ import annotations

from typing import Final

import msgspec

from shared.connector import Provider
from shared.db import Location
from shared.installation import database_location, hosts, provider_runtimes, service_secret
from shared.settings import Cluster, SecretStr, Settings
from shared.web import LOOPBACK

GIVE_UP_AFTER_S: Final = 172_800.0
"""Two days: twice the longest outage that a provider documents."""


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """A provider as this installation reaches it.

    ``api_url`` is the real one, an override, or the sandbox's. ``web_url`` is where the sandbox
    shows records to people, None for a real provider.
    """

    provider: Provider
    client_id: str
    api_url: str
    web_url: str | None = None


class FetcherSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of the fetcher.

    ``alone`` means that no other fetcher shares the database, so every claim that it finds at its
    start belongs to a dead process.
    """

    database: Location
    kafka: Cluster
    auth_url: str
    service_secret: SecretStr
    providers: dict[str, Runtime]
    hosts: tuple[str, ...] = LOOPBACK
    slots: int = 8
    max_pages: int | None = None
    give_up_after_s: float = GIVE_UP_AFTER_S
    all_fields: bool = False
    alone: bool = True


def fetcher_settings(settings: Settings, *, alone: bool) -> FetcherSettings:
    """Return the fetcher's part of the installation's settings.

    Raises:
        SecretFileRefused: a secret's file can be read by others, or is damaged.
    """
    providers = {
        slug: Runtime(
            provider=runtime.provider,
            client_id=runtime.client_id,
            api_url=runtime.api_url,
            web_url=runtime.web_url,
        )
        for slug, runtime in provider_runtimes(settings).items()
    }
    return FetcherSettings(
        database=database_location(settings, "fetcher"),
        kafka=settings.kafka,
        auth_url=settings.auth_url,
        service_secret=service_secret(settings),
        providers=providers,
        hosts=hosts(settings, "fetcher"),
        slots=settings.slots,
        max_pages=settings.max_pages,
        give_up_after_s=settings.give_up_after_s,
        all_fields=settings.all_fields,
        alone=alone,
    )
