"""The callback: a provider sends the browser here after a consent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, get
from litestar.params import FromPath
from msgspec import Meta

from services.gateway.connect.flow import Finished, finish_connect
from services.gateway.context import InjectedContext
from services.gateway.http.error_codes import CONSENT_ERRORS
from services.gateway.http.fields import FlowId, KnownProvider
from services.gateway.http.operations import JSON, Answer
from services.gateway.http.pages import close_window, explain, wants_json
from services.gateway.http.problems import answer
from services.gateway.http.validation import AnyRequest
from shared.contracts.vocabulary import ConnectionId
from shared.errors import NotFound

_PAGE: Final = {
    "type": "string",
    "description": "A page for a person.",
    "examples": ["<!doctype html>"],
}


class ConsentOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a consent, for a program that asks for JSON."""

    status: Annotated[
        str,
        Meta(
            description="Always `connected`; a failed consent is an error.", examples=["connected"]
        ),
    ]
    flow_id: Annotated[FlowId | None, Meta(description="The consent's id.")]
    connection_id: Annotated[ConnectionId | None, Meta(description="The connection's id.")]


@get(
    "/integrations/{provider:str}/oauth2callback",
    tags=["Connecting accounts"],
    summary="Receive a browser back from a provider",
    answers={
        200: Answer(
            "The account is connected: a page that closes its window.",
            {"text/html": _PAGE, JSON: ConsentOutcome},
        ),
        303: Answer("The account is connected.", headers={"Location": "The flow's return URL."}),
    },
    errors=CONSENT_ERRORS,
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
    return explain(
        400, detail, back=finished.return_url, popup=True, declined=code == "access_denied"
    )


def _status(status: str, finished: Finished) -> Mapping[str, str | None]:
    return {
        "status": status,
        "flow_id": finished.flow.flow_id if finished.flow else None,
        "connection_id": finished.connection.id if finished.connection else None,
    }
