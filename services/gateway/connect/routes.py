"""Start a consent, open its link, get its status, and disconnect an account."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from litestar import Response, delete, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from services.gateway.connect.flow import disconnect, open_connect, read_flow, start_connect
from services.gateway.connections.views import ConnectionView, read_connection
from services.gateway.context import GatewayContext, InjectedContext
from services.gateway.http.error_codes import CONSENT_ERRORS, ERROR_CODES
from services.gateway.http.fields import NAMED, URL, FlowId, KnownProvider
from services.gateway.http.operations import Link
from services.gateway.http.validation import missing_field
from services.gateway.settings import ConfiguredProvider
from shared.contracts.auth import FlowStatus
from shared.contracts.vocabulary import ConnectionId, ProviderSlug, ResourceSlug, Scope

TAGS: Final = ["Connecting accounts"]


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


class StartConnect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The provider to connect to, and who is connecting."""

    provider: KnownProvider
    org_id: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=256,
                description="Your own id for the organisation that the account is connected for. "
                "With an API key you may leave it out; if you send it, it must be the key's "
                "own.",
                examples=["acme"],
                extra_json_schema=NAMED,
            ),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    user_id: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=256,
            description="Your own id for the person who connects the account.",
            examples=["user-42"],
            extra_json_schema=NAMED,
        ),
    ]
    return_url: Annotated[
        str | None,
        Meta(
            description="Where to send the browser afterwards: a page of this server or of an "
            "allowed origin. Without it, the window closes itself.",
            examples=["/"],
            extra_json_schema={"format": "uri-reference"},
        ),
    ] = None


class StartedConnect(msgspec.Struct, frozen=True, kw_only=True):
    """A consent that is ready to begin."""

    flow_id: FlowId
    authorize_url: Annotated[
        str,
        Meta(
            description="The link to open in the browser of the person who consents, within ten "
            "minutes.",
            examples=["http://localhost:8000/connect/019ac0de5a1b7c2d93e4f5a6b7c8d9e0"],
            extra_json_schema=URL,
        ),
    ]


class ConsentError(msgspec.Struct, frozen=True, kw_only=True):
    """The reason why a consent did not lead to a connection."""

    code: Annotated[
        str,
        Meta(
            description="A stable code for programs.",
            examples=["access_denied"],
            extra_json_schema={"enum": list(CONSENT_ERRORS)},
        ),
    ]
    detail: Annotated[
        str,
        Meta(
            description="What happened and what to do about it, for people.",
            examples=[ERROR_CODES["access_denied"].detail],
        ),
    ]


class ConnectStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The status of a consent."""

    status: Annotated[
        FlowStatus,
        Meta(
            description="`pending`: the person has not decided yet. `connected`: see "
            "`connection_id`. `failed`: see `error`.",
            examples=["connected"],
        ),
    ]
    connection_id: Annotated[
        ConnectionId | None, Meta(description="The connection; absent until there is one.")
    ] = None
    error: Annotated[ConsentError | None, Meta(description="Why it failed; absent otherwise.")] = (
        None
    )


@get(
    "/providers",
    tags=TAGS,
    summary="List providers",
    response_description="The providers.",
)
async def get_providers(context: InjectedContext) -> Providers:
    """List the providers that can be connected here.

    Each comes with the resources that can be read, and the scopes that each resource needs.
    """
    return Providers(providers=list_providers(context=context))


@post(
    "/connect",
    status_code=200,
    tags=TAGS,
    summary="Start connecting an account",
    response_description="The link to open.",
    errors=("unknown_provider", "bad_return_url", "bad_name", "foreign_org"),
    links=(
        Link(
            "get_connect", "Get the status of the consent.", {"flow_id": "$response.body#/flow_id"}
        ),
    ),
)
async def post_connect(data: JSONBody[StartConnect], context: InjectedContext) -> StartedConnect:
    """Return a link that leads to the provider's consent page.

    The first sync starts by itself after the consent.
    """
    org_id = context.org if data.org_id is msgspec.UNSET else data.org_id
    if org_id is None:
        raise missing_field("org_id")
    flow = await start_connect(
        provider=data.provider,
        org_id=org_id,
        user_id=data.user_id,
        return_url=data.return_url,
        context=context,
    )
    return StartedConnect(flow_id=flow.flow_id, authorize_url=flow.authorize_url)


@get(
    "/connect/{flow_id:str}",
    tags=TAGS,
    summary="Get connect status",
    response_description="The status of the consent.",
    links=(
        Link(
            "get_connection",
            "Get the connection.",
            {"connection_id": "$response.body#/connection_id"},
        ),
    ),
)
async def get_connect(flow_id: FromPath[FlowId], context: InjectedContext) -> ConnectStatus:
    """Poll this until the status is no longer `pending`. A consent is forgotten after a day."""
    flow = await read_flow(flow_id, context=context)
    error = ConsentError(code=flow.error.code, detail=flow.error.detail) if flow.error else None
    return ConnectStatus(status=flow.status, connection_id=flow.connection_id, error=error)


@get("/connect/{flow_id:str}", include_in_schema=False)
async def open_link(flow_id: FromPath[str], context: InjectedContext) -> Response[None]:
    """Open the short link: bind the flow to this browser and redirect to the provider."""
    opened = await open_connect(flow_id, context=context)
    headers = {
        "location": opened.url,
        "set-cookie": opened.cookie,
        # The provider has no business knowing the short link.
        "referrer-policy": "no-referrer",
    }
    return Response(None, status_code=302, headers=headers)


@delete(
    "/connections/{connection_id:str}",
    status_code=200,
    tags=["Connections"],
    summary="Disconnect an account",
    response_description="The connection, now disconnected.",
)
async def delete_connection(
    connection_id: FromPath[ConnectionId], context: InjectedContext
) -> ConnectionView:
    """Revoke the grant at the provider where that is possible, and delete the tokens and all items.

    Repeating it gives the same answer.
    """
    snapshot = await disconnect(connection_id, context=context)
    return await read_connection(snapshot.id, context=context)


ROUTES: Final = (get_providers, post_connect, get_connect)
