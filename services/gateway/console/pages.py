"""The console's pages, and the parts of the first one that are refreshed."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

from litestar import Response, get
from litestar.params import FromPath
from litestar.response import Redirect

from services.gateway.connect.flow import read_flow
from services.gateway.console.formatting import plural
from services.gateway.console.items import item_detail, table_query
from services.gateway.console.queries import item, overview, owned, table
from services.gateway.console.render import Notice, render, shows
from services.gateway.context import GatewayContext, InjectedContext
from services.gateway.http.validation import AnyRequest
from shared.errors import TributaryError
from shared.settings import configured_for
from shared.web import LOOPBACK, host_name


@get("/", include_in_schema=False)
async def console(request: AnyRequest, context: InjectedContext) -> Response[Any]:
    elsewhere = own_address(request, context)
    if elsewhere:
        return Redirect(elsewhere, status_code=302)
    flow = request.query_params.get("flow_id")
    return await first_page(
        request, context, notice=await consent_notice(context, flow) if flow else None
    )


async def first_page(
    request: AnyRequest, context: GatewayContext, *, notice: Notice | None = None, status: int = 200
) -> Response[bytes]:
    cards, rows = await overview(context), await table(context, table_query(request.query_params))
    return render(
        "page.html", request=request, status=status, overview=cards, table=rows, notice=notice
    )


@get("/console/cards", include_in_schema=False)
async def cards(request: AnyRequest, context: InjectedContext) -> Response[bytes]:
    return render("cards.html", request=request, overview=await overview(context))


@get("/console/items", include_in_schema=False)
async def items(request: AnyRequest, context: InjectedContext) -> Response[bytes]:
    return render(
        "items.html", request=request, table=await table(context, table_query(request.query_params))
    )


@get("/console/items/{connection:str}/{resource:str}/{id_:path}", include_in_schema=False)
async def one_item(
    request: AnyRequest,
    context: InjectedContext,
    connection: FromPath[str],
    resource: FromPath[str],
    id_: FromPath[str],
) -> Response[bytes]:
    plain = id_.removeprefix("/")
    try:
        found, configured, stale = await item(context, (connection, resource, plain))
    except TributaryError as error:
        return problem(request, "This item was not found.", error)
    api = "/v1/items/" + "/".join(quote(part, safe="/") for part in (connection, resource, plain))
    detail = item_detail(found, configured, api=api, stale=stale)
    return render("item.html", request=request, item=detail)


@get("/console/connections/{id_:str}/disconnect", include_in_schema=False)
async def ask_disconnect(
    request: AnyRequest, context: InjectedContext, id_: FromPath[str]
) -> Response[bytes]:
    try:
        connection, name, count = await owned(context, id_)
    except TributaryError as error:
        return problem(request, "This account is not connected.", error)
    account = connection.account.name or connection.account.id
    return render(
        "disconnect.html",
        request=request,
        id=id_,
        provider=name,
        account=account,
        items=plural(count, "item"),
    )


@get("/console/connect/{flow_id:str}", include_in_schema=False)
async def leave(
    request: AnyRequest, context: InjectedContext, flow_id: FromPath[str]
) -> Response[bytes]:
    """Show a link to the provider: a form may not redirect there (see ``PAGE_POLICY``)."""
    try:
        flow = await read_flow(flow_id, context=context)
        name = configured_for(flow.provider, context.settings.providers).provider.name
    except TributaryError as error:
        return problem(request, "This connect link is not valid.", error)
    return render("leaving.html", request=request, provider=name, link=flow.authorize_url)


def problem(request: AnyRequest, title: str, error: TributaryError) -> Response[bytes]:
    return render(
        "problem.html",
        request=request,
        status=error.status,
        notice=Notice("bad", title, error.detail),
    )


def own_address(request: AnyRequest, context: GatewayContext) -> str | None:
    """Return the page's public address, for a browser on another loopback name; else None.

    Cookies and form origins belong to one host name. Other names are left alone: a proxy may use
    its own.
    """
    public = urlsplit(context.settings.public_url)
    asked_for = host_name(request.scope)
    if asked_for == public.hostname or asked_for not in LOOPBACK or public.hostname not in LOOPBACK:
        return None
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{context.settings.public_url}{request.url.path}{query}"


async def consent_notice(context: GatewayContext, flow_id: str) -> Notice | None:
    """Return the outcome of a consent of the console; None while pending or once forgotten."""
    try:
        flow = await context.auth.flow(flow_id)
    except TributaryError:
        return None
    # The id comes from the address, where anybody can write somebody else's.
    if not shows(context, flow):
        return None
    configured = context.settings.providers.get(flow.provider)
    name = configured.provider.name if configured else flow.provider
    match flow.status:
        case "connected":
            return Notice("good", f"{name} is connected.", "Its items are on their way.")
        case "failed":
            why = flow.error.detail if flow.error else "The provider did not say why."
            return Notice("bad", f"{name} was not connected.", why)
        case "pending":
            return None
