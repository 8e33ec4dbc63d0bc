"""Hold what all processes of an installation agree on: secrets, databases, providers.

The secrets are files in the data folder, made by whichever process comes first.
"""

from __future__ import annotations

import hmac
import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from shared.connector import Provider
from shared.crypto import load_or_make_secret
from shared.db import Location, Schema
from shared.providers import load_providers
from shared.settings import ProviderDefaults, ProviderSettings, SecretStr, Settings
from shared.web import LOOPBACK


class ProviderRuntime(msgspec.Struct, frozen=True, kw_only=True):
    """A provider as this installation uses it.

    URLs are complete, without a trailing slash; ``scopes`` are those to ask for. Without a
    ``client_secret`` the app is a public client.
    """

    provider: Provider
    client_id: str
    client_secret: SecretStr | None
    scopes: tuple[str, ...]
    authorize_url: str
    token_url: str
    api_url: str
    web_url: str | None = None
    """The base of simulated records' pages. None: records open at the provider's own addresses."""
    simulated: bool = False


def provider_defaults() -> dict[str, ProviderDefaults]:
    return {
        slug: ProviderDefaults(secret_optional=provider.oauth.secret_optional)
        for slug, provider in load_providers().items()
    }


def provider_runtimes(settings: Settings) -> dict[str, ProviderRuntime]:
    """Return the providers by slug: the real one if a client id is set, else the sandbox.

    Each URL may be set alone either way.
    """
    return {
        slug: _runtime(provider, settings.providers[slug], settings)
        for slug, provider in load_providers().items()
    }


def database_location(settings: Settings, service: str) -> Location:
    """Return where the tables of a service are."""
    if settings.database_url is not None:
        return Schema(url=settings.database_url, name=service)
    return settings.data_dir / f"{service}.db"


def service_secret(settings: Settings) -> SecretStr:
    """Return the secret that services show one another."""
    return load_or_make_secret(settings.data_dir / "service-secret")


def sandbox_client(data_dir: Path, slug: str) -> tuple[str, SecretStr]:
    """Return the id and secret of our app at a simulated provider."""
    seed = load_or_make_secret(data_dir / "sandbox-secret").reveal().encode()
    return f"tributary-sandbox-{slug}", SecretStr(
        hmac.new(seed, slug.encode(), "sha256").hexdigest()
    )


def hosts(settings: Settings, service: str) -> tuple[str, ...]:
    """Return the names that an internal service may be addressed by, without port."""
    named = (urlsplit(settings.auth_url).hostname or "localhost",) if service == "auth" else ()
    return (*LOOPBACK, service, socket.gethostname().lower(), *named)


def addresses(settings: Settings) -> Mapping[str, str]:
    """Return service → the address on which its process listens."""
    return {
        "gateway": settings.host,
        "auth": settings.internal_host,
        "fetcher": settings.internal_host,
    }


def _runtime(provider: Provider, given: ProviderSettings, settings: Settings) -> ProviderRuntime:
    def at(sandbox: str, url: str) -> str:
        return f"{sandbox}/{provider.slug}{urlsplit(url).path}" if given.simulated else url

    client_id, client_secret = given.client_id, given.client_secret
    if client_id is None:
        client_id, client_secret = sandbox_client(settings.data_dir, provider.slug)
    oauth = provider.oauth
    return ProviderRuntime(
        provider=provider,
        client_id=client_id,
        client_secret=client_secret,
        scopes=given.scopes if given.scopes is not None else oauth.scopes,
        authorize_url=given.authorize_url or at(settings.sandbox_public_url, oauth.authorize_url),
        token_url=given.token_url or at(settings.sandbox_url, oauth.token_url),
        api_url=(given.api_url or at(settings.sandbox_url, provider.api_url)).rstrip("/"),
        web_url=f"{settings.sandbox_public_url}/{provider.slug}" if given.simulated else None,
        simulated=given.simulated,
    )
