"""Tell browsers apart: the session cookie, the origin of requests, and the redirect to sign in."""

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
"""The parts of the first page, which are not pages themselves."""


def session_token(connection: AnyConnection, settings: GatewaySettings) -> str | None:
    return connection.cookies.get(_name(settings)) or None


def session_cookie(token: str, settings: GatewaySettings) -> str:
    """Return the session's ``Set-Cookie``; an empty token removes the cookie.

    Lax, because the way back from a provider ends on a page of ours. The cookie lives as long as
    the browser; the server ends the session. Some browsers reject ``__Host-`` cookies over plain
    HTTP, even on localhost.
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
    """Return True if the request comes from this very origin.

    A request without any header that says so counts only if it need not have one. The Host that the
    Origin is compared with has already been checked (``shared.web.HostGuard``).
    """
    # Browsers send this only to https and localhost; elsewhere Origin has to be enough.
    # https://www.w3.org/TR/fetch-metadata/
    site = connection.headers.get("sec-fetch-site")
    origin = connection.headers.get("origin")
    host = connection.headers.get("host", "")
    told = origin is not None or site is not None
    # Both schemes: a proxy may end TLS in front of us.
    own = origin in {None, f"http://{host}", f"https://{host}"}
    return (
        own
        and (told or not must_tell)
        and site in ({None, "same-origin"} if must_tell else _READING)
    )


def followed(connection: AnyConnection) -> bool:
    """Return True if a person followed a link, from any site.

    A script that does so cannot read the answer. Browsers send no Origin when they navigate.
    """
    return connection.headers.get("origin") is None and connection.headers.get(
        "sec-fetch-mode"
    ) in {None, "navigate"}


def same_origin(connection: AnyConnection, _: BaseRouteHandler) -> None:
    """Refuse a form unless the browser says that it comes from this very origin.

    The Host that the Origin is compared with has already been checked (``shared.web.HostGuard``).
    """
    if not own_page(connection, must_tell=True):
        raise Forbidden(
            "This form was sent from another site. Open the console itself and try again."
        )


class SignInFirst(Unauthorized):
    """Nobody is signed in.

    ``location`` is the sign-in page; ``cookie`` removes an invalid session cookie.
    """

    def __init__(self, connection: AnyConnection, settings: GatewaySettings) -> None:
        super().__init__()
        self.location = f"{SIGN_IN}{_way_back(connection)}"
        self.cookie = session_cookie("", settings) if session_token(connection, settings) else None


def is_page(connection: AnyConnection) -> bool:
    """Return True for a page of the console; a program that asks for JSON gets JSON."""
    path = connection.url.path
    return (path == "/" or path.startswith("/console/")) and "text/html" in connection.headers.get(
        "accept", ""
    )


def on_sign_in_first(_: Request[Any, Any, Any], first: SignInFirst) -> Response[Any]:
    # With 303 the browser asks by GET, and a form is not sent to the sign-in page.
    # https://www.rfc-editor.org/rfc/rfc9110#section-15.4.4
    answer = Redirect(first.location, status_code=303)
    if first.cookie:
        answer.headers["set-cookie"] = first.cookie
    return answer


def _way_back(connection: AnyConnection) -> str:
    """Return the sign-in address. Only GET pages can be returned to after signing in."""
    query = f"?{connection.url.query}" if connection.url.query else ""
    path = ("/" if connection.url.path in _PARTS else connection.url.path) + query
    return (
        ""
        if path == "/" or connection.scope.get("method") != "GET"
        else f"?next={quote(path, safe='')}"
    )
