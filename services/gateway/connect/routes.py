"""Start a consent, open its link, see how it went, and end a connection."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from litestar import Response, delete, get, post
from litestar.params import FromPath, JSONBody

from services.gateway.connect.flow import disconnect, open_connect, read_flow, start_connect
from services.gateway.connections.views import ConnectionView, read_connection
from services.gateway.context import GatewayContext, InjectedContext
from services.gateway.http.problems import problems
from services.gateway.http.validation import missing_field
from shared.contracts.auth import ErrorBody, FlowStatus

TAGS = ["Connecting accounts"]


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
    providers: tuple[ProviderView, ...]


class StartConnect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``return_url``: where the browser goes afterwards, a path of this server or a page of an allowed origin.

    ``org_id`` may be left out where a key says it, and must be the key's own.
    """

    provider: Annotated[str, msgspec.Meta(max_length=64, description="An id of /v1/providers.")]
    org_id: Annotated[str, msgspec.Meta(min_length=1, max_length=256, examples=["demo"])] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    user_id: Annotated[str, msgspec.Meta(min_length=1, max_length=256, examples=["demo"])]
    return_url: str | None = None


class StartedConnect(msgspec.Struct, frozen=True, kw_only=True):
    """Open ``authorize_url`` in the browser of the person who consents, within ten minutes."""

    flow_id: str
    authorize_url: str


class ConnectStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    status: FlowStatus
    connection_id: str | None = None
    error: ErrorBody | None = None


@get("/providers", tags=TAGS, summary="What can be connected here", responses=problems())
async def get_providers(context: InjectedContext) -> Providers:
    return Providers(providers=list_providers(context=context))


@post("/connect", status_code=200, tags=TAGS, summary="Start connecting an account", responses=problems(503))
async def post_connect(data: JSONBody[StartConnect], context: InjectedContext) -> StartedConnect:
    """The answer's link goes to the provider's consent page; the first load starts by itself once it was given."""
    org_id = context.org if data.org_id is msgspec.UNSET else data.org_id
    if org_id is None:
        raise missing_field("org_id")
    flow = await start_connect(
        provider=data.provider, org_id=org_id, user_id=data.user_id, return_url=data.return_url, context=context
    )
    return StartedConnect(flow_id=flow.flow_id, authorize_url=flow.authorize_url)


@get("/connect/{flow_id:str}", tags=TAGS, summary="How a consent went", responses=problems(404, 503))
async def get_connect(flow_id: FromPath[str], context: InjectedContext) -> ConnectStatus:
    flow = await read_flow(flow_id, context=context)
    return ConnectStatus(status=flow.status, connection_id=flow.connection_id, error=flow.error)


@get("/connect/{flow_id:str}", include_in_schema=False)
async def open_link(flow_id: FromPath[str], context: InjectedContext) -> Response[None]:
    """The short link: binds the flow to this browser and sends it to the provider."""
    opened = await open_connect(flow_id, context=context)
    headers = {"location": opened.url, "set-cookie": opened.cookie, "referrer-policy": "no-referrer"}
    return Response(None, status_code=302, headers=headers)


@delete(
    "/connections/{connection_id:str}",
    status_code=200,
    tags=["Connections"],
    summary="Disconnect an account",
    responses=problems(404, 503),
)
async def delete_connection(connection_id: FromPath[str], context: InjectedContext) -> ConnectionView:
    """Ends the grant at the provider where it can be ended, deletes the tokens and every item.

    Done again it answers the same.
    """
    snapshot = await disconnect(connection_id, context=context)
    return await read_connection(snapshot.id, context=context)


ROUTES: Final = (get_providers, post_connect, get_connect)
