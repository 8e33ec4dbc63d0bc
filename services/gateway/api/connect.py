"""Start a consent, open its link, see how it went."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, JSONBody

from services.gateway.api.problems import problems
from services.gateway.api.words import missing_field
from services.gateway.connect import open_connect, read_flow, start_connect
from services.gateway.hub import TheHub
from services.gateway.views import ProviderView, list_providers
from shared.contracts.auth import ErrorBody, FlowStatus

TAGS = ["Connecting accounts"]


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
async def get_providers(hub: TheHub) -> Providers:
    return Providers(providers=list_providers(hub=hub))


@post("/connect", status_code=200, tags=TAGS, summary="Start connecting an account", responses=problems(503))
async def post_connect(data: JSONBody[StartConnect], hub: TheHub) -> StartedConnect:
    """The answer's link goes to the provider's consent page; the first load starts by itself once it was given."""
    org_id = hub.org if data.org_id is msgspec.UNSET else data.org_id
    if org_id is None:
        raise missing_field("org_id")
    flow = await start_connect(
        provider=data.provider, org_id=org_id, user_id=data.user_id, return_url=data.return_url, hub=hub
    )
    return StartedConnect(flow_id=flow.flow_id, authorize_url=flow.authorize_url)


@get("/connect/{flow_id:str}", tags=TAGS, summary="How a consent went", responses=problems(404, 503))
async def get_connect(flow_id: FromPath[str], hub: TheHub) -> ConnectStatus:
    flow = await read_flow(flow_id, hub=hub)
    return ConnectStatus(status=flow.status, connection_id=flow.connection_id, error=flow.error)


@get("/connect/{flow_id:str}", include_in_schema=False)
async def open_link(flow_id: FromPath[str], hub: TheHub) -> Response[None]:
    """The short link: binds the flow to this browser and sends it to the provider."""
    opened = await open_connect(flow_id, hub=hub)
    headers = {"location": opened.url, "set-cookie": opened.cookie, "referrer-policy": "no-referrer"}
    return Response(None, status_code=302, headers=headers)
