"""The routes of the original app. Their forms may be multipart or URL-encoded."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, post
from litestar.datastructures import UploadFile
from litestar.params import FromPath, FromQuery
from msgspec import Meta

from services.gateway.connect.flow import start_connect
from services.gateway.context import GatewayContext, InjectedContext
from services.gateway.http.fields import NAMED, KnownProvider
from services.gateway.http.operations import JSON, Answer, Link
from services.gateway.http.pages import wants_json
from services.gateway.http.validation import AnyRequest
from services.gateway.legacy.load import (
    OriginalItem,
    given_handle,
    incomplete_header,
    load_everything,
    newest_connection,
    pending_handle,
)
from shared.contracts.connections import Connection
from shared.contracts.vocabulary import ConnectionStatus, ProviderSlug
from shared.errors import BadRequest, NotFound

LONGEST: Final = 16_384

TAGS: Final = ["Legacy routes"]
PATH: Final = "/integrations/{provider:str}"
INCOMPLETE: Final = "Tributary-Incomplete"
INCOMPLETE_MEANING: Final = (
    "The resources that were not read completely, as a list (RFC 9651): each with its `state`, and "
    "with `stale_since`, when it was last complete. Absent if nothing is missing."
)
Strict = Annotated[
    bool,
    Meta(description="True to get a 502 unless everything was read completely.", examples=[False]),
]


async def form_text(
    request: AnyRequest, *required: str, optional: tuple[str, ...] = ()
) -> dict[str, str]:
    """Return the named fields that are present.

    Raises ``BadRequest`` for a file, or for a required field that is absent or empty.
    """
    try:
        form = await request.form()
    except UnicodeDecodeError:
        raise BadRequest("The form's fields must be UTF-8.", code="bad_form") from None
    found: dict[str, str] = {}
    for name in (*required, *optional):
        value = form.get(name)
        if (
            isinstance(value, UploadFile)
            or len(str(value or "")) > LONGEST
            or "\0" in str(value or "")
        ):
            raise BadRequest(f"{name} must be a short text.", code="bad_form")
        if value:
            found[name] = str(value)
    missing = [name for name in required if not found.get(name, "").strip()]
    if missing:
        raise BadRequest(
            f"Missing or empty: {', '.join(missing)}. Send a form (multipart or URL-encoded).",
            code="missing_field",
            status=422,
        )
    return found


UserName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=256,
        description="The person who connects the account.",
        examples=["demo"],
        extra_json_schema=NAMED,
    ),
]
OrgName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=256,
        description="The organisation that the account is connected for.",
        examples=["demo"],
        extra_json_schema=NAMED,
    ),
]


class AccountForm(msgspec.Struct, frozen=True, kw_only=True):
    """The owner of the account."""

    user_id: UserName
    org_id: OrgName


class LoadForm(msgspec.Struct, frozen=True, kw_only=True):
    """The owner of the account: either ``user_id`` and ``org_id``, or ``credentials``."""

    user_id: UserName | msgspec.UnsetType = msgspec.UNSET
    org_id: OrgName | msgspec.UnsetType = msgspec.UNSET
    credentials: (
        Annotated[
            str,
            Meta(
                max_length=LONGEST,
                description="The answer of `/credentials`, unchanged.",
                examples=[
                    '{"connection": "MDE5YWM.Zk3xkQ", "provider": "acme", "status": "active"}'
                ],
            ),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET


class ConnectionHandle(msgspec.Struct, frozen=True, kw_only=True):
    """An opaque handle of a connection. It is only good for `/load`."""

    connection: Annotated[str, Meta(description="The signed handle.", examples=["MDE5YWM.Zk3xkQ"])]
    provider: ProviderSlug
    status: ConnectionStatus


AuthorizeLink = Annotated[
    str,
    Meta(
        description="The link to open in the browser of the person who consents.",
        examples=["http://localhost:8000/connect/019ac0de5a1b7c2d93e4f5a6b7c8d9e0"],
        extra_json_schema={"format": "uri"},
    ),
]


@post(
    f"{PATH}/authorize",
    status_code=200,
    tags=TAGS,
    summary="Start connecting an account",
    deprecated=True,
    form=AccountForm,
    answers={200: Answer("The link to open.", {JSON: AuthorizeLink})},
    errors=("bad_form", "bad_name", "missing_field", "foreign_org"),
    problem_media=JSON,
)
async def post_authorize(
    provider: FromPath[KnownProvider], request: Request[Any, Any, Any], context: InjectedContext
) -> Response[bytes]:
    """Return the link as a bare JSON string. Use `POST /v1/connect` instead."""
    _known(provider, context)
    form = await form_text(request, "user_id", "org_id")
    flow = await start_connect(
        provider=provider, org_id=form["org_id"], user_id=form["user_id"], context=context
    )
    return Response(
        msgspec.json.encode(flow.authorize_url), status_code=200, media_type="application/json"
    )


@post(
    f"{PATH}/credentials",
    status_code=200,
    tags=TAGS,
    summary="Get a connection's handle",
    deprecated=True,
    form=AccountForm,
    answers={200: Answer("The handle.", {JSON: ConnectionHandle})},
    links=(
        Link(
            "post_load",
            "Sync the connection: send this answer as `credentials`.",
            {"provider": "$response.body#/provider"},
        ),
    ),
    errors=("bad_form", "missing_field", "not_connected", "foreign_org"),
    problem_media=JSON,
)
async def post_credentials(
    provider: FromPath[KnownProvider], request: Request[Any, Any, Any], context: InjectedContext
) -> dict[str, str]:
    """Return a handle of the newest active connection; tokens never leave the server.

    Use `GET /v1/connections` instead.
    """
    _known(provider, context)
    form = await form_text(request, "user_id", "org_id")
    return await pending_handle(
        provider=provider, org_id=form["org_id"], user_id=form["user_id"], context=context
    )


@post(
    f"{PATH}/load",
    status_code=200,
    tags=TAGS,
    summary="Sync everything and wait for it",
    response_description="Every item of the connection that is held.",
    headers={INCOMPLETE: INCOMPLETE_MEANING},
    deprecated=True,
    form=LoadForm,
    errors=(
        "bad_form",
        "bad_handle",
        "bad_token",
        "missing_field",
        "not_connected",
        "foreign_org",
        "disconnected",
        "reauth_required",
        "load_failed",
    ),
    problem_media=JSON,
)
async def post_load(
    provider: FromPath[KnownProvider],
    request: Request[Any, Any, Any],
    context: InjectedContext,
    *,
    strict: FromQuery[Strict] = False,
) -> Response[list[OriginalItem]]:
    """Sync the newest active connection and return all of its items that are held.

    The answer comes when the sync has ended, when all that is left of it waits for the provider, or
    after ten minutes. What is incomplete is named in the header `Tributary-Incomplete`. It is a 502
    only when nothing was ever read; with `strict`, anything incomplete is.

    Use `POST /v1/connections/{connection_id}/syncs` and `GET /v1/items` instead.
    """
    _known(provider, context)
    connection = await _connection(provider, request, context)
    loaded = await load_everything(connection, context=context, strict=strict)
    headers = {INCOMPLETE: incomplete_header(loaded.gaps)} if loaded.gaps else {}
    return Response(loaded.rows, status_code=200, headers=headers)


def _known(provider: str, context: GatewayContext) -> None:
    if provider not in context.settings.providers:
        raise NotFound("There is no provider of that name here.")


async def _connection(provider: str, request: AnyRequest, context: GatewayContext) -> Connection:
    form = await form_text(request, optional=("credentials", "user_id", "org_id"))
    if handle := form.get("credentials"):
        return await given_handle(handle, provider=provider, context=context)
    form = await form_text(request, "user_id", "org_id")
    found = await newest_connection(
        provider=provider, org_id=form["org_id"], user_id=form["user_id"], context=context
    )
    if found is None:
        raise BadRequest("No credentials found. Connect the account first.", code="not_connected")
    return found


async def ping(request: Request[Any, Any, Any]) -> Response[dict[str, str]] | None:
    """Answer a program at ``/`` as the original app did: a ``before_request`` hook."""
    if not wants_json(request):
        return None
    return Response({"Ping": "Pong"}, status_code=200, media_type="application/json")


ROUTES: Final = (post_authorize, post_credentials, post_load)
