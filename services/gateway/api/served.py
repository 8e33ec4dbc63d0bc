"""Which of our own addresses a browser can be sent to."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from litestar import Litestar
from litestar.routes import HTTPRoute

_NO_PLACE: Final = ("/connect/", "/integrations/", "/console/connect/")
"""They are answered, but each is a step of a consent and no place to end up at."""


def served_pages(app: Litestar) -> Callable[[str], bool]:
    """Whether a path, as it stands in a URL without its query, is answered to GET."""
    routes = [_pattern(route) for route in app.routes if isinstance(route, HTTPRoute) and "GET" in route.methods]
    any_of = re.compile("|".join(f"(?:{route})" for route in routes))

    def served(path: str) -> bool:
        plain = unquote(path)
        return not plain.startswith(_NO_PLACE) and any_of.fullmatch(plain.rstrip("/") or "/") is not None

    return served


def _pattern(route: HTTPRoute) -> str:
    parts = (
        re.escape(part) if isinstance(part, str) else (".+" if part.type is Path else "[^/]+")
        for part in route.path_components
    )
    return "/" + "/".join(parts)
