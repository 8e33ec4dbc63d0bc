"""The routes of the original app, and their forms: multipart as browsers send them, or URL-encoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec
from litestar import Request, Response, post
from litestar.datastructures import UploadFile
from litestar.openapi.spec import OpenAPIMediaType, Operation, Reference, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import FromPath

from services.gateway.connect.flow import start_connect
from services.gateway.context import GatewayContext, InjectedContext
from services.gateway.http.problems import wants_json
from services.gateway.http.validation import AnyRequest
from services.gateway.legacy.load import OriginalItem, given_handle, load_everything, newest_connection, pending_handle
from shared.contracts.connections import Connection
from shared.errors import BadRequest, NotFound

LONGEST = 16_384

TAGS = ["Original routes"]
PATH = "/integrations/{provider:str}"


async def form_text(request: AnyRequest, *required: str, optional: tuple[str, ...] = ()) -> dict[str, str]:
    """The named fields that are there. Raises ``BadRequest`` for a required one that is absent or empty, or a file."""
    try:
        form = await request.form()
    except UnicodeDecodeError:
        raise BadRequest("The form's fields have to be UTF-8.", code="bad_form") from None
    found: dict[str, str] = {}
    for name in (*required, *optional):
        value = form.get(name)
        if isinstance(value, UploadFile) or len(str(value or "")) > LONGEST or "\0" in str(value or ""):
            raise BadRequest(f"{name} has to be a short text.", code="bad_form")
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


def _form(required: list[str], **fields: str) -> dict[str, OpenAPIMediaType]:
    properties: dict[str, Reference | Schema] = {
        name: Schema(type=OpenAPIType.STRING, description=about) for name, about in fields.items()
    }
    schema = Schema(type=OpenAPIType.OBJECT, properties=properties, required=required or None)
    kinds = ("multipart/form-data", "application/x-www-form-urlencoded")
    return {kind: OpenAPIMediaType(schema=schema) for kind in kinds}


@dataclass
class AccountForm(Operation):
    def __post_init__(self) -> None:
        content = _form(["user_id", "org_id"], user_id="Who connects.", org_id="For which organisation.")
        self.request_body = RequestBody(content=content, required=True)


@dataclass
class LoadForm(Operation):
    def __post_init__(self) -> None:
        content = _form(
            [], user_id="With org_id: whose.", org_id="With user_id.", credentials="Or: what /credentials answered."
        )
        self.request_body = RequestBody(content=content, required=True)


@post(f"{PATH}/authorize", status_code=200, tags=TAGS, summary="Start connecting", operation_class=AccountForm)
async def post_authorize(
    provider: FromPath[str], request: Request[Any, Any, Any], context: InjectedContext
) -> Response[bytes]:
    """Answers the link to open, as a bare JSON string."""
    _known(provider, context)
    form = await form_text(request, "user_id", "org_id")
    flow = await start_connect(provider=provider, org_id=form["org_id"], user_id=form["user_id"], context=context)
    return Response(msgspec.json.encode(flow.authorize_url), status_code=200, media_type="application/json")


@post(f"{PATH}/credentials", status_code=200, tags=TAGS, summary="A handle", operation_class=AccountForm)
async def post_credentials(
    provider: FromPath[str], request: Request[Any, Any, Any], context: InjectedContext
) -> dict[str, str]:
    """Answers an opaque handle of the newest active connection: tokens never leave the server."""
    _known(provider, context)
    form = await form_text(request, "user_id", "org_id")
    return await pending_handle(provider=provider, org_id=form["org_id"], user_id=form["user_id"], context=context)


@post(f"{PATH}/load", status_code=200, tags=TAGS, summary="Load everything and wait", operation_class=LoadForm)
async def post_load(
    provider: FromPath[str], request: Request[Any, Any, Any], context: InjectedContext
) -> list[OriginalItem]:
    """Takes user_id and org_id, or credentials; answers every item of the newest active connection."""
    _known(provider, context)
    connection = await _connection(provider, request, context)
    return await load_everything(connection, context=context)


def _known(provider: str, context: GatewayContext) -> None:
    if provider not in context.settings.providers:
        raise NotFound("There is no provider of that name here.")


async def _connection(provider: str, request: AnyRequest, context: GatewayContext) -> Connection:
    form = await form_text(request, optional=("credentials", "user_id", "org_id"))
    if handle := form.get("credentials"):
        return await given_handle(handle, provider=provider, context=context)
    form = await form_text(request, "user_id", "org_id")
    found = await newest_connection(provider=provider, org_id=form["org_id"], user_id=form["user_id"], context=context)
    if found is None:
        raise BadRequest("No credentials found. Connect the account first.", code="not_connected")
    return found


async def ping(request: Request[Any, Any, Any]) -> Response[dict[str, str]] | None:
    """A ``before_request`` hook: ``/`` is the console; a program gets what the original answered there."""
    if request.url.path == "/" and wants_json(request):
        return Response({"Ping": "Pong"}, status_code=200, media_type="application/json")
    return None


ROUTES: Final = (post_authorize, post_credentials, post_load)
