"""Lets in who may: a program by its key, a browser by its session. Stands before every route."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from litestar import Request
from litestar.enums import RequestEncodingType
from litestar.handlers import BaseRouteHandler

from services.gateway.access.caller import AnyConnection, keep_caller
from services.gateway.access.cookie import session_token
from services.gateway.access.needs import needed
from services.gateway.access.origin import followed, own_page
from services.gateway.access.sign_in_first import SignInFirst, is_page
from services.gateway.hub import Hub
from services.gateway.keys import ANYONE, Caller, Unauthorized, authenticate, caller_with, session_caller
from shared.crypto import same
from shared.errors import Forbidden

Guard = Callable[[AnyConnection, BaseRouteHandler], Awaitable[None]]
_READS = {"GET", "HEAD", "OPTIONS"}


def key_guard(hub: Callable[[], Hub], *, keys_required: bool) -> Guard:
    """A Litestar guard. Where no keys are required, everyone may do everything."""

    async def guard(connection: AnyConnection, _: BaseRouteHandler) -> None:
        keep_caller(connection, await _caller(connection, hub) if keys_required else ANYONE)

    return guard


async def _caller(connection: AnyConnection, hub: Callable[[], Hub]) -> Caller | None:
    """Raises ``Unauthorized``, ``TooManyFailures``, or ``Forbidden`` for a key that may not do this."""
    need = needed(str(connection.scope.get("method")), str(connection.scope.get("path_template")))
    if need == "public":
        return None
    given = connection.headers.get("authorization")
    caller = await (_by_session(connection, hub()) if given is None else _by_key(given, connection, hub()))
    if caller is None:
        raise SignInFirst(connection, hub().settings) if is_page(connection) else Unauthorized()
    if not caller.may(need):
        raise Forbidden(f"This takes a key of scope {need}; this one has {caller.scope}.", code="scope_too_small")
    return caller


async def _by_key(given: str, connection: AnyConnection, hub: Hub) -> Caller:
    scheme, _, text = given.partition(" ")
    key = await authenticate(
        text.strip() if scheme.lower() == "bearer" else "",
        address=_address(connection),
        throttle=hub.throttle,
        database=hub.database,
    )
    return caller_with(key)


async def _by_session(connection: AnyConnection, hub: Hub) -> Caller | None:
    """A session counts only for our own pages: a page of an allowed origin has no part in it.

    Raises ``Forbidden`` for a form of another site; the session stays as it is.
    """
    token = session_token(connection, hub.settings)
    if token is None:
        return None
    reads, page = connection.scope.get("method") in _READS, is_page(connection)
    if not own_page(connection, must_tell=not reads) and not (reads and page and followed(connection)):
        if page:
            raise Forbidden("This form was sent from another site. Open the console itself and try again.")
        return None
    caller = await session_caller(token, address=_address(connection), throttle=hub.throttle, database=hub.database)
    if caller and caller.csrf and not reads and not same(await _csrf_given(connection), caller.csrf):
        raise Forbidden("This page is of an earlier sign-in. Load it again, then repeat this.", code="csrf")
    return caller


async def _csrf_given(connection: AnyConnection) -> str:
    if header := connection.headers.get("x-csrf-token"):
        return header
    request: Request[Any, Any, Any] | None = connection if isinstance(connection, Request) else None
    if request is None or request.content_type[0] != RequestEncodingType.URL_ENCODED:
        return ""
    try:
        return str((await request.form()).get("csrf") or "")
    except UnicodeDecodeError:
        return ""


def _address(connection: AnyConnection) -> str | None:
    """The other end of the socket: what a header says of it, anyone can write."""
    return connection.client.host if connection.client else None
