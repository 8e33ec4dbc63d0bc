"""Where a browser says that a request comes from."""

from __future__ import annotations

from services.gateway.access.caller import AnyConnection


def own_page(connection: AnyConnection, *, must_tell: bool) -> bool:
    """Whether it stood on this very origin. A request that says nothing counts only when it need not tell.

    The Host that the Origin is compared with was checked before (``shared.web.HostGuard``).
    """
    site = connection.headers.get("sec-fetch-site")
    origin = connection.headers.get("origin")
    host = connection.headers.get("host", "")
    told = origin is not None or site is not None
    own = origin in {None, f"http://{host}", f"https://{host}"}
    return own and (told or not must_tell) and site in ({None, "same-origin"} if must_tell else _READING)


def followed(connection: AnyConnection) -> bool:
    """Whether a person came by a link, from wherever; a script that asks so cannot read the answer.

    Browsers send no Origin when they go to a page.
    """
    return connection.headers.get("origin") is None and connection.headers.get("sec-fetch-mode") in {None, "navigate"}


_READING = {None, "same-origin", "none"}
"""``none`` is a person who typed the address."""
