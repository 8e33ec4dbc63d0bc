"""Let callers in: a program by its key, a browser by its session. The guard of every route."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final

from litestar import Request, Response
from litestar.di import Provide
from litestar.enums import RequestEncodingType
from litestar.handlers import BaseRouteHandler

from services.gateway.context import GatewayContext
from services.gateway.http.problems import answer
from services.gateway.http.validation import AnyRequest
from services.gateway.security.browser import (
    AnyConnection,
    SignInFirst,
    followed,
    is_page,
    own_page,
    session_token,
)
from services.gateway.security.callers import (
    ANYONE,
    Caller,
    Unauthorized,
    authenticate,
    caller_with,
    is_valid,
    session_caller,
)
from services.gateway.security.permissions import required_permission
from services.gateway.throttle import TooManyFailures
from shared.crypto import same
from shared.errors import Forbidden

Guard = Callable[[AnyConnection, BaseRouteHandler], Awaitable[None]]
_READS: Final = {"GET", "HEAD", "OPTIONS"}


def key_guard(context: Callable[[], GatewayContext], *, keys_required: bool) -> Guard:
    """Return a Litestar guard. Where no keys are required, everyone may do everything."""

    async def guard(connection: AnyConnection, _: BaseRouteHandler) -> None:
        keep_caller(connection, await _caller(connection, context) if keys_required else ANYONE)

    return guard


async def _caller(
    connection: AnyConnection, context: Callable[[], GatewayContext]
) -> Caller | None:
    """Return the caller.

    Raise ``Unauthorized``, ``TooManyFailures``, or ``Forbidden`` for too small a scope.
    """
    permission = required_permission(
        str(connection.scope.get("method")), str(connection.scope.get("path_template"))
    )
    if permission == "public":
        return None
    given = connection.headers.get("authorization")
    # A key that was sent decides alone: if it is wrong, the browser's session does not help.
    caller = await (
        _by_session(connection, context())
        if given is None
        else _by_key(given, connection, context())
    )
    if caller is None:
        raise SignInFirst(connection, context().settings) if is_page(connection) else Unauthorized()
    if not caller.may(permission):
        raise Forbidden(
            f"This needs a key with scope {permission}; this one has {caller.scope}.",
            code="scope_too_small",
        )
    return caller


async def _by_key(given: str, connection: AnyConnection, context: GatewayContext) -> Caller:
    scheme, _, text = given.partition(" ")
    key = await authenticate(
        # The scheme's case does not matter: https://www.rfc-editor.org/rfc/rfc9110#section-11.1
        # Any other scheme counts as a wrong key.
        text.strip() if scheme.lower() == "bearer" else "",
        address=_address(connection),
        throttle=context.throttle,
        database=context.database,
    )
    return caller_with(key)


async def _by_session(connection: AnyConnection, context: GatewayContext) -> Caller | None:
    """Return the caller of a browser's session.

    A session is accepted only in requests from our own pages, not from allowed
    origins. Raises ``Forbidden`` for a form of another site; the session stays as it is.
    """
    token = session_token(connection, context.settings)
    if token is None:
        return None
    reads, page = connection.scope.get("method") in _READS, is_page(connection)
    if not own_page(connection, must_tell=not reads) and not (
        reads and page and followed(connection)
    ):
        if page:
            raise Forbidden(
                "This form was sent from another site. Open the console itself and try again."
            )
        return None
    caller = await session_caller(
        token, address=_address(connection), throttle=context.throttle, database=context.database
    )
    if (
        caller
        and caller.csrf
        and not reads
        and not same(await _csrf_given(connection), caller.csrf)
    ):
        raise Forbidden(
            "This page is from an earlier sign-in. Reload it, then try again.", code="csrf"
        )
    return caller


async def _csrf_given(connection: AnyConnection) -> str:
    if header := connection.headers.get("x-csrf-token"):
        return header
    request: Request[Any, Any, Any] | None = connection if isinstance(connection, Request) else None
    # Our own forms are URL-encoded. No other body is parsed before the caller is known.
    if request is None or request.content_type[0] != RequestEncodingType.URL_ENCODED:
        return ""
    try:
        # Litestar keeps the parsed form, so the handler can read it again.
        return str((await request.form()).get("csrf") or "")
    except UnicodeDecodeError:
        return ""


def _address(connection: AnyConnection) -> str | None:
    """Return the other end of the socket; anyone can forge headers that say otherwise."""
    return connection.client.host if connection.client else None


def keep_caller(connection: AnyConnection, caller: Caller | None) -> None:
    connection.state.caller = caller


def caller_of(connection: AnyConnection) -> Caller | None:
    """Return the caller, None on a public route.

    Raises ``AttributeError`` on a route without a guard.
    """
    caller: Caller | None = connection.state.caller
    return caller


async def still_authorized(connection: AnyConnection, context: GatewayContext) -> bool:
    """Return True while the caller may go on.

    Long answers ask again and again: the key or session may end meanwhile.
    """
    caller = caller_of(connection)
    if caller is None or caller.prefix is None:
        return True
    return await is_valid(caller.prefix, session=caller.session, database=context.database)


def provide_context(context: Callable[[], GatewayContext]) -> Provide:
    """Return the dependency that gives a handler the context of the caller's organisation."""

    def within(request: Request[Any, Any, Any]) -> GatewayContext:
        caller = caller_of(request)
        return (
            context()
            if caller is None or caller.org is None
            else replace(context(), org=caller.org)
        )

    # It only copies a struct, which is cheaper than handing it to a thread.
    return Provide(within, sync_to_thread=False)


def on_refused(request: AnyRequest, error: Unauthorized | TooManyFailures) -> Response[bytes]:
    """Answer a refused caller, with the header that says what would help: a key, or waiting."""
    return answer(
        request, error.status, code=error.code, detail=error.detail, headers=error.headers
    )
