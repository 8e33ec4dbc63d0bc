"""The actions behind the console's forms, signing in and out included.

Each answers with a redirect, so that going back repeats nothing.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, URLEncodedBody
from litestar.response import Redirect

from services.gateway.connect.flow import disconnect, start_connect
from services.gateway.console.pages import first_page, own_address
from services.gateway.console.queries import owned
from services.gateway.console.render import THEMES, Notice, org_of, render, user_of
from services.gateway.context import GatewayContext, InjectedContext
from services.gateway.http.return_url import checked_return_url
from services.gateway.http.validation import AnyRequest
from services.gateway.security.browser import SIGN_IN, same_origin, session_cookie, session_token
from services.gateway.security.callers import Unauthorized, session_caller, sign_in, sign_out
from services.gateway.syncs import queries as syncs
from services.gateway.syncs.parts import confirm_deletions, remove_part
from services.gateway.syncs.request import request_sync
from services.gateway.syncs.retry import retry_sync
from services.gateway.throttle import TooManyFailures
from shared.errors import BadRequest, TributaryError

YEAR_S: Final = 365 * 86_400


_WRONG: Final = "This key is not valid: it is mistyped, expired or revoked."


class ConnectForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The form that starts a consent.

    ``connection_id`` is the connection to reconnect, if any. The guard has already checked
    ``csrf``.
    """

    provider: str
    connection_id: str = ""
    csrf: str = ""


class PartForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The form that confirms deletions of a part that are held, or removes all of its items."""

    order: Literal["confirm", "remove"]
    resource: str
    part: str
    csrf: str = ""


class ThemeForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    theme: str


@post("/console/connect", guards=[same_origin], include_in_schema=False)
async def connect(
    request: AnyRequest, context: InjectedContext, data: URLEncodedBody[ConnectForm]
) -> Response[Any]:
    try:
        # PostgreSQL refuses a NUL character even in a lookup, and the request would fail.
        again = data.connection_id.replace("\0", "")
        user = (await owned(context, again))[0].user_id if again else user_of(context)
        flow = await start_connect(
            provider=data.provider,
            org_id=org_of(context),
            user_id=user,
            return_url="/",
            context=context,
        )
    except TributaryError as error:
        return await _refused(request, context, "The connection was not started.", error)
    return Redirect(f"/console/connect/{flow.flow_id}", status_code=303)


@post("/console/connections/{id_:str}/sync", guards=[same_origin], include_in_schema=False)
async def sync_now(
    request: AnyRequest, context: InjectedContext, id_: FromPath[str]
) -> Response[Any]:
    try:
        connection, _, _ = await owned(context, id_)
        await request_sync(connection.id, context=context)
    except TributaryError as error:
        return await _refused(request, context, "The sync was not started.", error)
    return Redirect(f"/#card-{connection.provider}", status_code=303)


@post("/console/connections/{id_:str}/disconnect", guards=[same_origin], include_in_schema=False)
async def end(request: AnyRequest, context: InjectedContext, id_: FromPath[str]) -> Response[Any]:
    try:
        connection, _, _ = await owned(context, id_)
        await disconnect(connection.id, context=context)
    except TributaryError as error:
        return await _refused(request, context, "The account is still connected.", error)
    return Redirect(f"/#card-{connection.provider}", status_code=303)


@post("/console/connections/{id_:str}/parts", guards=[same_origin], include_in_schema=False)
async def order_part(
    request: AnyRequest,
    context: InjectedContext,
    id_: FromPath[str],
    data: URLEncodedBody[PartForm],
) -> Response[Any]:
    try:
        connection, _, _ = await owned(context, id_)
        carry_out = confirm_deletions if data.order == "confirm" else remove_part
        await carry_out(connection.id, data.resource, data.part, context=context)
    except TributaryError as error:
        return await _refused(request, context, "Nothing was deleted.", error)
    return Redirect(f"/#card-{connection.provider}", status_code=303)


@post("/console/connections/{id_:str}/retry", guards=[same_origin], include_in_schema=False)
async def retry(request: AnyRequest, context: InjectedContext, id_: FromPath[str]) -> Response[Any]:
    try:
        connection, _, _ = await owned(context, id_)
        async with context.database.read() as db:
            # The sync that the card shows.
            newest = await syncs.newest(db, connection.id)
        for sync in newest:
            await retry_sync(sync.id, context=context)
    except TributaryError as error:
        return await _refused(request, context, "It could not be tried now.", error)
    return Redirect(f"/#card-{connection.provider}", status_code=303)


@post("/console/theme", guards=[same_origin], include_in_schema=False)
async def choose_theme(
    data: URLEncodedBody[ThemeForm],
) -> Response[Any]:
    theme = data.theme if data.theme in dict(THEMES) else "auto"
    answer = Redirect("/", status_code=303)
    answer.set_cookie("theme", theme, max_age=YEAR_S, samesite="lax")
    return answer


async def _refused(
    request: AnyRequest, context: GatewayContext, title: str, error: TributaryError
) -> Response[bytes]:
    return await first_page(
        request, context, notice=Notice("bad", title, error.detail), status=error.status
    )


class SignInForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: str = ""
    next: str = "/"


@get(SIGN_IN, include_in_schema=False)
async def ask_for_key(request: AnyRequest, context: InjectedContext) -> Response[Any]:
    back = _page(request.query_params.get("next", "/"), context)
    if not context.settings.keys_required or await _signed_in(request, context):
        return Redirect(back, status_code=303)
    elsewhere = own_address(request, context)
    return Redirect(elsewhere, status_code=302) if elsewhere else _asked(request, back)


@post(SIGN_IN, guards=[same_origin], include_in_schema=False)
async def take_key(
    request: AnyRequest, context: InjectedContext, data: URLEncodedBody[SignInForm]
) -> Response[Any]:
    """Sign in with a key.

    The browser always gets a new session, so that nobody can plant one whose token they know
    (session fixation).
    """
    back = _page(data.next, context)
    if not context.settings.keys_required:
        return Redirect(back, status_code=303)
    try:
        token = await sign_in(
            data.key,
            replaces=session_token(request, context.settings),
            address=_address(request),
            throttle=context.throttle,
            database=context.database,
        )
    except Unauthorized:
        return _asked(request, back, wrong=_WRONG, status=401)
    except TooManyFailures as failures:
        return _asked(request, back, wrong=failures.detail, status=429, headers=failures.headers)
    return _with_cookie(Redirect(back, status_code=303), session_cookie(token, context.settings))


@post("/console/sign-out", guards=[same_origin], include_in_schema=False)
async def leave_session(request: AnyRequest, context: InjectedContext) -> Response[Any]:
    token = session_token(request, context.settings)
    if token:
        await sign_out(token, database=context.database)
    return _with_cookie(Redirect(SIGN_IN, status_code=303), session_cookie("", context.settings))


async def _signed_in(request: AnyRequest, context: GatewayContext) -> bool:
    token = session_token(request, context.settings)
    if not token:
        return False
    caller = await session_caller(
        token, address=_address(request), throttle=context.throttle, database=context.database
    )
    return caller is not None


def _asked(
    request: AnyRequest,
    back: str,
    *,
    wrong: str | None = None,
    status: int = 200,
    headers: Any = None,
) -> Response[bytes]:
    page = render("sign_in.html", request=request, status=status, back=back, wrong=wrong)
    page.headers.update(headers or {})
    return page


def _page(wanted: str, context: GatewayContext) -> str:
    """Return a page of ours to come back to; the first page in place of anything else."""
    try:
        # No allowed origins: whoever signs in here comes back here.
        return checked_return_url(
            wanted, own=context.settings.public_url, allowed_origins=(), served=context.served
        )
    except BadRequest:
        return "/"


def _with_cookie(answer: Response[Any], cookie: str) -> Response[Any]:
    answer.headers["set-cookie"] = cookie
    return answer


def _address(request: AnyRequest) -> str | None:
    return request.client.host if request.client else None
