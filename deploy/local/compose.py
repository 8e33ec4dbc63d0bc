"""Derive the settings of each service from what the operator set, for one process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.sandbox.clients import sandbox_clients
from deploy.sandbox.world import SandboxClient
from services.auth.settings import AuthSettings, auth_settings
from services.fetcher.settings import FetcherSettings, fetcher_settings
from services.gateway.settings import GatewaySettings, gateway_settings
from shared.settings import Cluster, Settings

HOST: Final = "127.0.0.1"


@dataclass(frozen=True)
class Composition:
    """Everything the one-process stack consists of."""

    settings: Settings
    auth: AuthSettings
    fetcher: FetcherSettings
    gateway: GatewaySettings
    sandbox_clients: Mapping[str, SandboxClient]

    @property
    def kafka(self) -> Cluster:
        return self.settings.kafka


def broker_folder(settings: Settings) -> Path | None:
    """Return the folder of this process's broker, None if another Kafka was named."""
    if settings.kafka.bootstrap != f"{HOST}:{settings.kafka_port}":
        return None
    return settings.data_dir / "kafka"


def compose(settings: Settings) -> Composition:
    """Make or read the keys and secrets of the data folder, and give each service its part.

    Raises:
        SecretFileRefused: a file of the data folder is unsafe or damaged.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    ports = (settings.auth_port, settings.fetcher_port)
    return Composition(
        settings=settings,
        auth=auth_settings(settings),
        fetcher=fetcher_settings(settings, alone=settings.database_url is None),
        gateway=gateway_settings(
            settings, ready_urls=tuple(f"http://{HOST}:{port}/health/ready" for port in ports)
        ),
        sandbox_clients=sandbox_clients(
            settings.data_dir,
            settings.public_url,
            settings.providers,
            return_origins=settings.allowed_origins,
        ),
    )
