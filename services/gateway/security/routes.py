"""API keys of the caller's own organisation."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from litestar import Response, delete, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from services.gateway.context import GatewayContext, InjectedContext
from services.gateway.http.problems import problems
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
from services.gateway.security.queries import Scope
from shared.errors import Forbidden

TAGS = ["API keys"]


class NewKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Each scope includes those before it: read, write, admin. Without ``expires_in_days`` it never expires."""

    scope: Scope = "read"
    name: Annotated[str, msgspec.Meta(max_length=LONGEST_NAME, description="What it is for.")] = ""
    expires_in_days: Annotated[int, msgspec.Meta(ge=1, le=LONGEST_DAYS)] | None = None


class MadeKey(msgspec.Struct, frozen=True, kw_only=True):
    """``key`` is what its holder sends. It is shown this once."""

    key: str
    about: KeyView


@get("/keys", tags=TAGS, summary="Your organisation's keys, oldest first", responses=problems())
async def get_keys(
    context: InjectedContext,
    *,
    page_size: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
    page_token: Annotated[str | None, QueryParameter(description="next_page_token of the page before.")] = None,
) -> KeyPage:
    """Revoked ones too."""
    return await list_key_page(org=_org(context), page_size=page_size, page_token=page_token, context=context)


@post("/keys", status_code=201, tags=TAGS, summary="Make a key for your organisation", responses=problems())
async def post_key(data: JSONBody[NewKey], context: InjectedContext) -> Response[MadeKey]:
    made = await create_key(
        org=_org(context),
        scope=data.scope,
        name=data.name,
        expires_in_days=data.expires_in_days,
        database=context.database,
    )
    shown = MadeKey(key=made.written.reveal(), about=key_view(made.key))
    return Response(shown, status_code=201, headers={"location": f"/v1/keys/{made.key.prefix}"})


@delete("/keys/{prefix:str}", status_code=200, tags=TAGS, summary="Revoke a key", responses=problems(404))
async def delete_key(prefix: FromPath[str], context: InjectedContext) -> KeyView:
    """At once, with the console's sessions that were opened with it. Done again it answers the same."""
    return key_view(await revoke_key(prefix, org=_org(context), database=context.database))


def _org(context: GatewayContext) -> str:
    if context.org is None:
        raise Forbidden(
            "This gateway listens on this machine only and asks for no keys. To make one for later, use its command: "
            "python -m services.gateway keys create.",
            code="keys_not_required",
        )
    return context.org


ROUTES: Final = (get_keys, post_key, delete_key)
