"""The providers whose accounts can be connected here."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import get
from msgspec import Meta

from services.gateway.context import GatewayContext, InjectedContext
from services.gateway.http.fields import URL
from services.gateway.settings import ConfiguredProvider
from shared.contracts.vocabulary import ProviderSlug, ResourceSlug, Scope


class ResourceView(msgspec.Struct, frozen=True, kw_only=True):
    """A type of object that a provider has."""

    resource: ResourceSlug
    label: Annotated[str, Meta(description="The name to show to people.", examples=["Pages"])]
    scopes: Annotated[
        tuple[Scope, ...],
        Meta(
            description="The scopes that must all be granted before it can be read.",
            examples=[["read_content"]],
        ),
    ]


class ProviderView(msgspec.Struct, frozen=True, kw_only=True):
    """A provider whose accounts can be connected here."""

    id: ProviderSlug
    name: Annotated[str, Meta(description="The name to show to people.", examples=["Acme"])]
    simulated: Annotated[
        bool,
        Meta(
            description="True where the sandbox stands in for the provider, because no client id "
            "of a real app is set.",
            examples=[False],
        ),
    ]
    resources: Annotated[
        tuple[ResourceView, ...], Meta(description="The resources that can be read.")
    ]
    scopes: Annotated[
        tuple[Scope, ...],
        Meta(description="The scopes that a consent asks for.", examples=[["read_content"]]),
    ]
    consent_note: Annotated[
        str,
        Meta(
            description="What to tell people before they consent; empty for nothing.",
            examples=["Choose the pages that may be read."],
        ),
    ]
    setup_url: Annotated[
        str,
        Meta(
            description="Where to create an app at the provider.",
            examples=["https://app.acme.example/developers"],
            extra_json_schema=URL,
        ),
    ]
    redirect_uri: Annotated[
        str,
        Meta(
            description="The redirect URI to enter there.",
            examples=["http://localhost:8000/integrations/acme/oauth2callback"],
            extra_json_schema=URL,
        ),
    ]


def list_providers(*, context: GatewayContext) -> tuple[ProviderView, ...]:
    public_url, providers = context.settings.public_url, context.settings.providers
    return tuple(_provider_view(configured, public_url) for configured in providers.values())


def _provider_view(configured: ConfiguredProvider, public_url: str) -> ProviderView:
    provider = configured.provider
    return ProviderView(
        id=provider.slug,
        name=provider.name,
        simulated=configured.simulated,
        resources=tuple(
            ResourceView(resource=one.slug, label=one.label, scopes=one.scopes)
            for one in provider.resources
        ),
        scopes=provider.oauth.scopes,
        consent_note=provider.consent_note,
        setup_url=provider.setup_url,
        redirect_uri=f"{public_url}/integrations/{provider.slug}/oauth2callback",
    )


class Providers(msgspec.Struct, frozen=True, kw_only=True):
    """The providers whose accounts can be connected here."""

    providers: Annotated[
        tuple[ProviderView, ...], Meta(description="The providers, in a stable order.")
    ]


@get(
    "/providers",
    tags=["Connecting accounts"],
    summary="List providers",
    response_description="The providers.",
)
async def get_providers(context: InjectedContext) -> Providers:
    """List the providers that can be connected here.

    Each comes with the resources that can be read, and the scopes that each resource needs.
    """
    return Providers(providers=list_providers(context=context))
