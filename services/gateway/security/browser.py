"""How a browser is told apart: its session's cookie, where its requests come from, and the way to sign in."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.response import Redirect

from services.gateway.security.callers import Unauthorized
from services.gateway.settings import GatewaySettings
from shared.errors import Forbidden

AnyConnection = ASGIConnection[Any, Any, Any, Any]

_READING: Final = {None, "same-origin", "none"}
"""``none`` is a person who typed the address."""
SIGN_IN: Final = "/console/sign-in"
_PARTS: Final = {"/console/cards", "/console/items"}
"""Of the first page, and no pages themselves."""


def session_token(connection: AnyConnection, settings: GatewaySettings) -> str | None:
    return connection.cookies.get(_name(settings)) or None


def session_cookie(token: str, settings: GatewaySettings) -> str:
    """The ``Set-Cookie``; an empty token takes it away.

    Lax, because the way back from a provider ends on a page of ours; it lives as long as the browser, the session
    itself ends at the server. Browsers take ``__Host-`` cookies on plain http not everywhere, not even for localhost.
    """
    parts = [f"{_name(settings)}={token}", "Path=/", "HttpOnly", "SameSite=Lax"]
    if not token:
        parts.append("Max-Age=0")
    if _secure(settings):
        parts.append("Secure")
    return "; ".join(parts)


def _name(settings: GatewaySettings) -> str:
    return "__Host-tributary_session" if _secure(settings) else "tributary_session"


def _secure(settings: GatewaySettings) -> bool:
    return settings.public_url.startswith("https://")


def own_page(connection: AnyConnection, *, must_tell: bool) -> bool:
    """Whether it stood on this very origin. A request that says nothing counts only when it need not tell.

    The Host that the Origin is compared with was checked before (``shared.web.HostGuard``).
    """
    site = connection.headers.get("sec-fetch-site")
    origin = connection.headers.get("origin")
    host = connection.headers.get("host", "")
    told = origin is not None or site is not None
    own = origin in {None, f"http://{host}", f"https://{host}"}
    return (
        own
        and (told or not must_tell)
        and site in ({None, "same-origin"} if must_tell else _READING)
    )


def followed(connection: AnyConnection) -> bool:
    """Whether a person came by a link, from wherever; a script that asks so cannot read the answer.

    Browsers send no Origin when they go to a page.
    """
    return connection.headers.get("origin") is None and connection.headers.get(
        "sec-fetch-mode"
    ) in {None, "navigate"}


def same_origin(connection: AnyConnection, _: BaseRouteHandler) -> None:
    """A form counts only when the browser says that it stood on this very origin; a request that says nothing does not.

    The Host that the Origin is compared with was checked before (``shared.web.HostGuard``).
    """
    if not own_page(connection, must_tell=True):
        raise Forbidden(
            "This form was sent from another site. Open the console itself and try again."
        )


class SignInFirst(Unauthorized):
    """Nobody is signed in, or no longer: ``location`` is where to, ``cookie`` takes away what opens nothing."""

    def __init__(self, connection: AnyConnection, settings: GatewaySettings) -> None:
        super().__init__()
        self.location = f"{SIGN_IN}{_way_back(connection)}"
        self.cookie = session_cookie("", settings) if session_token(connection, settings) else None


def is_page(connection: AnyConnection) -> bool:
    """Whether it is asked for as a page of the console; a program that asks for JSON is told in JSON."""
    path = connection.url.path
    return (path == "/" or path.startswith("/console/")) and "text/html" in connection.headers.get(
        "accept", ""
    )


def on_sign_in_first(_: Request[Any, Any, Any], first: SignInFirst) -> Response[Any]:
    answer = Redirect(first.location, status_code=303)
    if first.cookie:
        answer.headers["set-cookie"] = first.cookie
    return answer


def _way_back(connection: AnyConnection) -> str:
    """What only reads can be come back to."""
    query = f"?{connection.url.query}" if connection.url.query else ""
    path = ("/" if connection.url.path in _PARTS else connection.url.path) + query
    return (
        ""
        if path == "/" or connection.scope.get("method") != "GET"
        else f"?next={quote(path, safe='')}"
    )
