"""Keeps other sites from acting through the console's forms, also where there is no session that they would lack."""

from __future__ import annotations

from litestar.handlers import BaseRouteHandler

from services.gateway.access import AnyConnection, own_page
from shared.errors import Forbidden


def same_origin(connection: AnyConnection, _: BaseRouteHandler) -> None:
    """A form counts only when the browser says that it stood on this very origin; a request that says nothing does not.

    The Host that the Origin is compared with was checked before (``shared.web.HostGuard``).
    """
    if not own_page(connection, must_tell=True):
        raise Forbidden("This form was sent from another site. Open the console itself and try again.")
