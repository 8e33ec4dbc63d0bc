"""From what the person set to what each service is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from deploy.sandbox.clients import sandbox_clients
from services.auth.settings import AuthSettings, ProviderRuntime
from services.fetcher.settings import FetcherSettings, Runtime
from services.gateway.settings import GatewaySettings, Offered
from shared.connector import Provider
from shared.crypto import load_keyring, load_or_make_secret
from shared.providers import load_providers
from shared.sandbox import Client
from shared.settings import ProviderDefaults, ProviderSettings, SecretStr, Settings
from shared.web import LOOPBACK

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Composition:
    """Everything the one-process stack is made of."""

    settings: Settings
    auth: AuthSettings
    fetcher: FetcherSettings
    gateway: GatewaySettings
    sandbox_clients: Mapping[str, Client]

    @property
    def bootstrap(self) -> str:
        return self.fetcher.bootstrap


def provider_defaults() -> dict[str, ProviderDefaults]:
    return {
        slug: ProviderDefaults(secret_optional=provider.oauth.secret_optional)
        for slug, provider in load_providers().items()
    }


def compose(settings: Settings) -> Composition:
    """Make or read the keys and secrets of the data folder and give each service its part.

    Raises:
        SecretFileRefused: a file of the data folder is not safe or not sound.
    """
    data = settings.data_dir
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    clients = sandbox_clients(data, settings.public_url, settings.providers, return_origins=settings.allowed_origins)
    sandbox = f"http://{HOST}:{settings.sandbox_port}"
    runtimes = {
        slug: _runtime(provider, settings.providers[slug], clients[slug], sandbox=sandbox)
        for slug, provider in load_providers().items()
    }
    return Composition(
        settings=settings,
        auth=_auth(settings, runtimes),
        fetcher=_fetcher(settings, runtimes),
        gateway=_gateway(settings, runtimes),
        sandbox_clients=clients,
    )


def _auth(settings: Settings, runtimes: Mapping[str, ProviderRuntime]) -> AuthSettings:
    return AuthSettings(
        database=settings.data_dir / "auth.db",
        keyring=load_keyring(settings.keys, settings.data_dir / "keys"),
        service_secret=_service_secret(settings),
        public_url=settings.public_url,
        providers=runtimes,
        kafka=_bootstrap(settings),
    )


def _fetcher(settings: Settings, runtimes: Mapping[str, ProviderRuntime]) -> FetcherSettings:
    providers = {
        slug: Runtime(provider=runtime.provider, client_id=runtime.client_id, api_url=runtime.api_url)
        for slug, runtime in runtimes.items()
    }
    return FetcherSettings(
        database=settings.data_dir / "fetcher.db",
        bootstrap=_bootstrap(settings),
        auth_url=_auth_url(settings),
        service_secret=_service_secret(settings),
        providers=providers,
        max_pages=settings.max_pages,
    )


def _gateway(settings: Settings, runtimes: Mapping[str, ProviderRuntime]) -> GatewaySettings:
    ports = (settings.auth_port, settings.fetcher_port)
    return GatewaySettings(
        database=settings.data_dir / "gateway.db",
        bootstrap=_bootstrap(settings),
        auth_url=_auth_url(settings),
        service_secret=_service_secret(settings),
        signing_secret=load_or_make_secret(settings.data_dir / "signing-secret"),
        providers={slug: _offered(runtime, settings.providers[slug]) for slug, runtime in runtimes.items()},
        public_url=settings.public_url,
        allowed_origins=settings.allowed_origins,
        hosts=(*LOOPBACK, urlsplit(settings.public_url).hostname or "localhost"),
        ready_urls=tuple(f"http://{HOST}:{port}/health/ready" for port in ports),
    )


def _service_secret(settings: Settings) -> SecretStr:
    return load_or_make_secret(settings.data_dir / "service-secret")


def _bootstrap(settings: Settings) -> str:
    return f"{HOST}:{settings.kafka_port}"


def _auth_url(settings: Settings) -> str:
    return f"http://{HOST}:{settings.auth_port}"


def _runtime(provider: Provider, given: ProviderSettings, client: Client, *, sandbox: str) -> ProviderRuntime:
    """The real provider when a client id is given, else the sandbox; each URL may be set alone either way."""

    def place(url: str) -> str:
        parts = urlsplit(url)
        return f"{sandbox}/{provider.slug}{parts.path}" if given.simulated else url

    return ProviderRuntime(
        provider=provider,
        client_id=given.client_id or client.id,
        client_secret=SecretStr(client.secret) if given.simulated else given.client_secret,
        scopes=given.scopes if given.scopes is not None else provider.oauth.scopes,
        authorize_url=given.authorize_url or place(provider.oauth.authorize_url),
        token_url=given.token_url or place(provider.oauth.token_url),
        api_url=(given.api_url or place(provider.api_url)).rstrip("/"),
    )


def _offered(runtime: ProviderRuntime, given: ProviderSettings) -> Offered:
    parts = urlsplit(runtime.authorize_url)
    return Offered(provider=runtime.provider, simulated=given.simulated, origins=(f"{parts.scheme}://{parts.netloc}",))
