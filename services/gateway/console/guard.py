"""Keeps other sites from acting through the console's forms: there is no key yet that they would lack."""

from __future__ import annotations

from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from shared.errors import Forbidden


def same_origin(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """A form counts only when the browser says that it stood on this very origin; a request that says nothing does not.

    The Host that the Origin is compared with was checked before (``shared.web.HostGuard``).
    """
    site = connection.headers.get("sec-fetch-site")
    origin = connection.headers.get("origin")
    host = connection.headers.get("host", "")
    told = origin is not None or site is not None
    own = origin in {None, f"http://{host}", f"https://{host}"}
    if not told or not own or site not in {None, "same-origin"}:
        raise Forbidden("This form was sent from another site. Open the console itself and try again.")
