"""Check a return URL: a browser may only be sent to a path of ours, or to an allowed origin."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from litestar import Litestar
from litestar.routes import HTTPRoute

from shared.errors import BadRequest

LONGEST: Final = 2_048
_ALLOWED: Final = re.compile(r"[\[\]A-Za-z0-9\-._~!$&'()*+,;=:@/?#%]*")
"""The characters of RFC 3986.

Browsers interpret others, such as a backslash or a tab, differently.
"""
_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")

_NO_PLACE: Final = ("/connect/", "/integrations/", "/console/connect/")
"""Paths that answer, but are a step of a consent and not a page to return to."""


def checked_return_url(
    url: str, *, own: str, allowed_origins: Collection[str], served: Callable[[str], bool]
) -> str:
    """Return the URL unchanged.

    A path must start with exactly one slash, in clear or encoded, and ``served`` must know it; so
    must the path of a URL with our ``own`` origin. Any other URL must have exactly an allowed
    origin, without user information and without another spelling of it.

    Raises:
        BadRequest: for any other URL.
    """
    if len(url) <= LONGEST and _ALLOWED.fullmatch(url) and not _ESCAPE.search(url):
        origin = _origin_of(url)
        path = url if url.startswith("/") else url.removeprefix(own) or "/"
        if (url.startswith("/") or origin == own) and _is_own_path(path, served):
            return url
        if origin != own and origin in allowed_origins:
            return url
    raise BadRequest(
        "return_url must be a page of this server, such as / or /docs, or a page of an "
        "origin that TRIBUTARY_ALLOWED_ORIGINS lists.",
        code="bad_return_url",
    )


def _is_own_path(url: str, served: Callable[[str], bool]) -> bool:
    asked = path = re.split("[?#]", url, maxsplit=1)[0] or "/"
    for _ in range(3):  # an encoded slash may be encoded again
        if (
            path.startswith("//")
            or "\\" in path
            or not path.isprintable()
            or "/.." in path
            or "/./" in path
        ):
            return False
        path = unquote(path)
    return served(asked)


def _origin_of(url: str) -> str | None:
    """Return scheme and authority as written.

    With user information or another spelling it does not equal an allowed origin.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    origin = f"{parts.scheme}://{parts.netloc}"
    return origin if url.startswith(origin) else None


def served_pages(app: Litestar) -> Callable[[str], bool]:
    """Return a predicate: True for a path, as in a URL without its query, that answers to GET."""
    routes = [
        _pattern(route)
        for route in app.routes
        if isinstance(route, HTTPRoute) and "GET" in route.methods
    ]
    any_of = re.compile("|".join(f"(?:{route})" for route in routes))

    def served(path: str) -> bool:
        plain = unquote(path)
        return (
            not plain.startswith(_NO_PLACE)
            and any_of.fullmatch(plain.rstrip("/") or "/") is not None
        )

    return served


def _pattern(route: HTTPRoute) -> str:
    parts = []
    for part in route.path_components:
        if isinstance(part, str):
            parts.append(re.escape(part))
        else:
            parts.append(".+" if part.type is Path else "[^/]+")
    return "/" + "/".join(parts)
