"""A person who is not signed in is led to the page where they can, and afterwards back."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from litestar import Request, Response
from litestar.response import Redirect

from services.gateway.access.caller import AnyConnection
from services.gateway.access.cookie import session_cookie, session_token
from services.gateway.keys import Unauthorized
from services.gateway.settings import GatewaySettings

SIGN_IN: Final = "/console/sign-in"
_PARTS: Final = {"/console/cards", "/console/items"}
"""Of the first page, and no pages themselves."""


class SignInFirst(Unauthorized):
    """Nobody is signed in, or no longer: ``location`` is where to, ``cookie`` takes away what opens nothing."""

    def __init__(self, connection: AnyConnection, settings: GatewaySettings) -> None:
        super().__init__()
        self.location = f"{SIGN_IN}{_way_back(connection)}"
        self.cookie = session_cookie("", settings) if session_token(connection, settings) else None


def is_page(connection: AnyConnection) -> bool:
    """Whether it is asked for as a page of the console; a program that asks for JSON is told in JSON."""
    path = connection.url.path
    return (path == "/" or path.startswith("/console/")) and "text/html" in connection.headers.get("accept", "")


def on_sign_in_first(_: Request[Any, Any, Any], first: SignInFirst) -> Response[Any]:
    answer = Redirect(first.location, status_code=303)
    if first.cookie:
        answer.headers["set-cookie"] = first.cookie
    return answer


def _way_back(connection: AnyConnection) -> str:
    """What only reads can be come back to."""
    query = f"?{connection.url.query}" if connection.url.query else ""
    path = ("/" if connection.url.path in _PARTS else connection.url.path) + query
    return "" if path == "/" or connection.scope.get("method") != "GET" else f"?next={quote(path, safe='')}"
