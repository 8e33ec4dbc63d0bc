"""What can be connected here."""

from __future__ import annotations

import msgspec

from services.gateway.hub import Hub


class ResourceView(msgspec.Struct, frozen=True, kw_only=True):
    """``scopes``: all of them must be granted for the resource to be loaded."""

    resource: str
    label: str
    scopes: tuple[str, ...]


class ProviderView(msgspec.Struct, frozen=True, kw_only=True):
    """``simulated``: served by the sandbox, because no client id of a real app is set."""

    id: str
    name: str
    simulated: bool
    resources: tuple[ResourceView, ...]
    scopes: tuple[str, ...]
    consent_note: str
    setup_url: str
    redirect_uri: str


def list_providers(*, hub: Hub) -> tuple[ProviderView, ...]:
    return tuple(
        ProviderView(
            id=slug,
            name=offered.provider.name,
            simulated=offered.simulated,
            resources=tuple(
                ResourceView(resource=one.slug, label=one.label, scopes=one.scopes)
                for one in offered.provider.resources
            ),
            scopes=offered.provider.oauth.scopes,
            consent_note=offered.provider.consent_note,
            setup_url=offered.provider.setup_url,
            redirect_uri=f"{hub.settings.public_url}/integrations/{slug}/oauth2callback",
        )
        for slug, offered in hub.settings.providers.items()
    )
