"""Routes for the API keys of the caller's own organisation."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from litestar import Response, delete, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta

from services.gateway.context import GatewayContext, InjectedContext
from services.gateway.http.fields import KeyPrefix, PageSize, PageToken
from services.gateway.http.operations import Link
from services.gateway.http.parameters import LARGEST_PAGE
from services.gateway.security.keys import (
    LONGEST_DAYS,
    LONGEST_NAME,
    KeyPage,
    KeyView,
    create_key,
    key_view,
    list_key_page,
    revoke_key,
)
from services.gateway.security.queries import KeyScope
from shared.errors import Forbidden

TAGS: Final = ["API keys"]


class NewKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The scope, name and lifetime of a new key."""

    scope: Annotated[
        KeyScope,
        Meta(
            description="What it may do; each scope includes those before it: read, write, "
            "admin. The default is `read`.",
            examples=["read"],
        ),
    ] = "read"
    name: Annotated[
        str,
        Meta(
            max_length=LONGEST_NAME,
            description="What it is for, in plain text.",
            examples=["nightly export"],
        ),
    ] = ""
    expires_in_days: Annotated[
        Annotated[int, Meta(ge=1, le=LONGEST_DAYS)] | None,
        Meta(
            description="The days until it expires; without it, the key is valid until it is "
            "revoked.",
            examples=[90],
        ),
    ] = None


class MadeKey(msgspec.Struct, frozen=True, kw_only=True):
    """A new key."""

    key: Annotated[
        str,
        Meta(
            description="The key, as its holder sends it. It is shown only this once.",
            examples=["trb_Agbj6P8TTwFR_7cMFBdyiVLNcr7Pen1Aq1MIvjtPRfA9eNTmWixhK"],
        ),
    ]
    about: Annotated[KeyView, Meta(description="The public facts of the key.")]


@get(
    "/keys",
    tags=TAGS,
    summary="List API keys",
    response_description="The keys, oldest first.",
    errors=("keys_not_required", "bad_token"),
    links=(
        Link("get_keys", "Get the next page.", {"page_token": "$response.body#/next_page_token"}),
    ),
)
async def get_keys(
    context: InjectedContext,
    *,
    page_size: Annotated[PageSize, QueryParameter(ge=1, le=LARGEST_PAGE)] = 50,
    page_token: FromQuery[PageToken | None] = None,
) -> KeyPage:
    """List your own organisation's keys, including revoked and expired ones."""
    return await list_key_page(
        org=_org(context), page_size=page_size, page_token=page_token, context=context
    )


@post(
    "/keys",
    status_code=201,
    tags=TAGS,
    summary="Create an API key",
    response_description="The key, shown only this once.",
    headers={"Location": "The key's address."},
    errors=("keys_not_required", "bad_name"),
    links=(Link("delete_key", "Revoke it.", {"prefix": "$response.body#/about/prefix"}),),
)
async def post_key(data: JSONBody[NewKey], context: InjectedContext) -> Response[MadeKey]:
    """Create a key for your own organisation."""
    made = await create_key(
        org=_org(context),
        scope=data.scope,
        name=data.name,
        expires_in_days=data.expires_in_days,
        database=context.database,
    )
    shown = MadeKey(key=made.written.reveal(), about=key_view(made.key))
    return Response(shown, status_code=201, headers={"location": f"/v1/keys/{made.key.prefix}"})


@delete(
    "/keys/{prefix:str}",
    status_code=200,
    tags=TAGS,
    summary="Revoke an API key",
    response_description="The key, now revoked.",
    errors=("keys_not_required",),
)
async def delete_key(prefix: FromPath[KeyPrefix], context: InjectedContext) -> KeyView:
    """Revoke a key and end the console's sessions that were opened with it, at once.

    Repeating it gives the same answer.
    """
    return key_view(await revoke_key(prefix, org=_org(context), database=context.database))


def _org(context: GatewayContext) -> str:
    if context.org is None:
        raise Forbidden(
            "This gateway listens on this machine only and does not ask for keys. To create "
            "one for later, use the command: python -m services.gateway keys create.",
            code="keys_not_required",
        )
    return context.org


ROUTES: Final = (get_keys, post_key, delete_key)
