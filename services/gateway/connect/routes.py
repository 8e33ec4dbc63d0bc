"""Start a consent, open its link, receive the browser back, and disconnect an account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from services.gateway.connect.flow import (
    Finished,
    disconnect,
    finish_connect,
    open_connect,
    read_flow,
    start_connect,
)
from services.gateway.connections.views import ConnectionView, read_connection
from services.gateway.context import InjectedContext
from services.gateway.http.error_codes import CONSENT_ERRORS, ERROR_CODES
from services.gateway.http.fields import NAMED, URL, FlowId, KnownProvider
from services.gateway.http.operations import JSON, Answer, Link
from services.gateway.http.pages import came_back, close_window, explain, wants_json
from services.gateway.http.problems import answer
from services.gateway.http.validation import AnyRequest, missing_field
from shared.contracts.auth import FlowStatus
from shared.contracts.vocabulary import ConnectionId
from shared.errors import NotFound

TAGS: Final = ["Connecting accounts"]
_PAGE: Final = {
    "type": "string",
    "description": "A page for a person.",
    "examples": ["<!doctype html>"],
}


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


class ConsentOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a consent, for a program that asks for JSON."""

    status: Annotated[
        Literal["connected"],
        Meta(
            description="Always `connected`; a failed consent is an error.", examples=["connected"]
        ),
    ]
    flow_id: Annotated[FlowId | None, Meta(description="The consent's id.")]
    connection_id: Annotated[ConnectionId | None, Meta(description="The connection's id.")]


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


@get(
    "/integrations/{provider:str}/oauth2callback",
    tags=TAGS,
    summary="Receive a browser back from a provider",
    answers={
        200: Answer(
            "The account is connected: a page that closes its window.",
            {"text/html": _PAGE, JSON: ConsentOutcome},
        ),
        303: Answer("The account is connected.", headers={"Location": "The flow's return URL."}),
    },
    errors=CONSENT_ERRORS,
    links=(
        Link(
            "get_connection",
            "Get the connection.",
            {"connection_id": "$response.body#/connection_id"},
        ),
    ),
    problem_media=JSON,
    problem_page=True,
)
async def get_callback(
    provider: FromPath[KnownProvider], request: Request[Any, Any, Any], context: InjectedContext
) -> Response[Any]:
    """Answer with a page that closes itself or explains what went wrong, or with a redirect.

    A redirect leads to the flow's `return_url`.

    Providers and browsers call this, programs do not: it reads the query that the provider wrote.
    Enter this address at the provider as the redirect URI.
    """
    if provider not in context.settings.providers:
        raise NotFound("There is no provider of that name here.")
    params = {name: request.query_params.getall(name)[0] for name in request.query_params}
    finished = await finish_connect(
        provider, params=params, cookies=request.cookies, context=context
    )
    name = context.settings.providers[provider].provider.name
    response = _failed(request, finished) if finished.error else _connected(request, finished, name)
    if finished.cookie:
        response.headers["set-cookie"] = finished.cookie
    # This page's address holds the code, and the next request would carry it as its Referer.
    response.headers["referrer-policy"] = "no-referrer"
    return response


def _connected(request: AnyRequest, finished: Finished, provider: str) -> Response[Any]:
    if wants_json(request):
        return Response(_status("connected", finished), media_type="application/json")
    if finished.return_url:
        return Response(None, status_code=303, headers={"location": finished.return_url})
    account = finished.connection.account if finished.connection else None
    return close_window(provider, (account.name or account.id) if account else "")


def _failed(request: AnyRequest, finished: Finished) -> Response[Any]:
    code, detail = (finished.error.code, finished.error.detail) if finished.error else ("", "")
    if wants_json(request):
        return answer(request, 400, code=code, detail=detail)
    if finished.flow and finished.flow.status != "failed":
        return came_back(connected=finished.flow.status == "connected", back=finished.return_url)
    return explain(
        400, detail, back=finished.return_url, popup=True, declined=code == "access_denied"
    )


def _status(status: str, finished: Finished) -> Mapping[str, str | None]:
    return {
        "status": status,
        "flow_id": finished.flow.flow_id if finished.flow else None,
        "connection_id": finished.connection.id if finished.connection else None,
    }


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


ROUTES: Final = (post_connect, get_connect)
