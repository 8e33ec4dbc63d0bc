"""Start a consent, open its link, see how it went, and end a connection."""

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
from shared.contracts.auth import FlowStatus
from shared.contracts.vocabulary import ConnectionId, ProviderSlug, ResourceSlug, Scope

TAGS: Final = ["Connecting accounts"]


class ResourceView(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of object that a provider has."""

    resource: ResourceSlug
    label: Annotated[str, Meta(description="Its name for people.", examples=["Pages"])]
    scopes: Annotated[
        tuple[Scope, ...],
        Meta(
            description="All of them have to be granted for it to be read.",
            examples=[["read_content"]],
        ),
    ]


class ProviderView(msgspec.Struct, frozen=True, kw_only=True):
    """A provider whose accounts can be connected here."""

    id: ProviderSlug
    name: Annotated[str, Meta(description="Its name for people.", examples=["Acme"])]
    simulated: Annotated[
        bool,
        Meta(
            description="True where the sandbox stands in for it, because no client id of a real app is set.",
            examples=[False],
        ),
    ]
    resources: Annotated[tuple[ResourceView, ...], Meta(description="What can be read of it.")]
    scopes: Annotated[
        tuple[Scope, ...],
        Meta(description="The scopes that a consent asks for.", examples=[["read_content"]]),
    ]
    consent_note: Annotated[
        str,
        Meta(
            description="What to tell a person before they consent; empty for nothing.",
            examples=["Choose the pages that may be read."],
        ),
    ]
    setup_url: Annotated[
        str,
        Meta(
            description="Where an app is made at the provider.",
            examples=["https://app.acme.example/developers"],
            extra_json_schema=URL,
        ),
    ]
    redirect_uri: Annotated[
        str,
        Meta(
            description="What has to be entered there as the redirect URI.",
            examples=["http://localhost:8000/integrations/acme/oauth2callback"],
            extra_json_schema=URL,
        ),
    ]


def list_providers(*, context: GatewayContext) -> tuple[ProviderView, ...]:
    return tuple(
        ProviderView(
            id=slug,
            name=configured.provider.name,
            simulated=configured.simulated,
            resources=tuple(
                ResourceView(resource=one.slug, label=one.label, scopes=one.scopes)
                for one in configured.provider.resources
            ),
            scopes=configured.provider.oauth.scopes,
            consent_note=configured.provider.consent_note,
            setup_url=configured.provider.setup_url,
            redirect_uri=f"{context.settings.public_url}/integrations/{slug}/oauth2callback",
        )
        for slug, configured in context.settings.providers.items()
    )


class Providers(msgspec.Struct, frozen=True, kw_only=True):
    """All providers whose accounts can be connected here."""

    providers: Annotated[
        tuple[ProviderView, ...], Meta(description="The providers, in a stable order.")
    ]


class StartConnect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who connects an account of which provider."""

    provider: KnownProvider
    org_id: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=256,
                description="Your own id of the organisation that the account is connected for. It may be left out "
                "with an API key, and must be the key's own.",
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
            description="Your own id of the person who connects it.",
            examples=["user-42"],
            extra_json_schema=NAMED,
        ),
    ]
    return_url: Annotated[
        str | None,
        Meta(
            description="Where the browser goes afterwards: a page of this server or of an allowed origin. Without it "
            "the window closes itself.",
            examples=["/"],
            extra_json_schema={"format": "uri-reference"},
        ),
    ] = None


class StartedConnect(msgspec.Struct, frozen=True, kw_only=True):
    """A consent that can begin."""

    flow_id: FlowId
    authorize_url: Annotated[
        str,
        Meta(
            description="Open it in the browser of the person who consents, within ten minutes.",
            examples=["http://localhost:8000/connect/019ac0de5a1b7c2d93e4f5a6b7c8d9e0"],
            extra_json_schema=URL,
        ),
    ]


class ConsentError(msgspec.Struct, frozen=True, kw_only=True):
    """Why a consent ended in no connection."""

    code: Annotated[
        str,
        Meta(
            description="Stable, for programs.",
            examples=["access_denied"],
            extra_json_schema={"enum": list(CONSENT_ERRORS)},
        ),
    ]
    detail: Annotated[
        str,
        Meta(
            description="What happened and what helps, for people.",
            examples=[ERROR_CODES["access_denied"].detail],
        ),
    ]


class ConnectStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a consent has come."""

    status: Annotated[
        FlowStatus,
        Meta(
            description="`pending`: the person has not decided yet. `connected`: see `connection_id`. `failed`: see "
            "`error`.",
            examples=["connected"],
        ),
    ]
    connection_id: Annotated[
        ConnectionId | None, Meta(description="The connection; absent before there is one.")
    ] = None
    error: Annotated[ConsentError | None, Meta(description="Why it failed; absent otherwise.")] = (
        None
    )


@get(
    "/providers",
    tags=TAGS,
    summary="List the providers that can be connected",
    response_description="All providers.",
)
async def get_providers(context: InjectedContext) -> Providers:
    """Each with what can be read of it, and the scopes that takes."""
    return Providers(providers=list_providers(context=context))


@post(
    "/connect",
    status_code=200,
    tags=TAGS,
    summary="Start connecting an account",
    response_description="The link to open.",
    errors=("unknown_provider", "bad_return_url", "bad_name", "foreign_org"),
    links=(
        Link("get_connect", "See how the consent went.", {"flow_id": "$response.body#/flow_id"}),
    ),
)
async def post_connect(data: JSONBody[StartConnect], context: InjectedContext) -> StartedConnect:
    """The answer's link leads to the provider's consent page. The first sync starts by itself after the consent."""
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
    summary="Get how a consent went",
    response_description="How far it has come.",
    links=(
        Link(
            "get_connection",
            "Read the connection.",
            {"connection_id": "$response.body#/connection_id"},
        ),
    ),
)
async def get_connect(flow_id: FromPath[FlowId], context: InjectedContext) -> ConnectStatus:
    """Ask until it is no longer `pending`. It is forgotten after a day."""
    flow = await read_flow(flow_id, context=context)
    error = ConsentError(code=flow.error.code, detail=flow.error.detail) if flow.error else None
    return ConnectStatus(status=flow.status, connection_id=flow.connection_id, error=error)


@get("/connect/{flow_id:str}", include_in_schema=False)
async def open_link(flow_id: FromPath[str], context: InjectedContext) -> Response[None]:
    """The short link: binds the flow to this browser and sends it to the provider."""
    opened = await open_connect(flow_id, context=context)
    headers = {
        "location": opened.url,
        "set-cookie": opened.cookie,
        "referrer-policy": "no-referrer",
    }
    return Response(None, status_code=302, headers=headers)


@delete(
    "/connections/{connection_id:str}",
    status_code=200,
    tags=["Connections"],
    summary="Disconnect an account",
    response_description="The connection, disconnected.",
)
async def delete_connection(
    connection_id: FromPath[ConnectionId], context: InjectedContext
) -> ConnectionView:
    """Ends the grant at the provider where it can be ended, deletes the tokens and every item.

    Done again it answers the same.
    """
    snapshot = await disconnect(connection_id, context=context)
    return await read_connection(snapshot.id, context=context)


ROUTES: Final = (get_providers, post_connect, get_connect)
