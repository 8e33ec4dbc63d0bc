"""Pages from templates, every value escaped, under a policy that runs nothing but our own two files."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Response

from services.gateway.console.formatting import number
from services.gateway.console.viewer import viewer_values
from services.gateway.http.pages import PAGE_POLICY
from services.gateway.http.validation import AnyRequest

TEMPLATES = Path(__file__).parent / "templates"
HEADERS = {
    "Content-Security-Policy": PAGE_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""No Cross-Origin-Opener-Policy: the connect window has to stay reachable for the page that opened it. Not
``no-referrer``: browsers would then call the origin of our own forms ``null``.
"""
THEMES = (("auto", "Auto"), ("light", "Light"), ("dark", "Dark"))


class Notice(msgspec.Struct, frozen=True):
    """What just happened, said above the cards; ``kind`` is ``good`` or ``bad``."""

    kind: str
    title: str
    detail: str


@cache
def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals |= {"number": number, "themes": THEMES}
    return found


def render(template: str, *, request: AnyRequest, status: int = 200, **values: Any) -> Response[bytes]:
    chosen = request.cookies.get("theme")
    theme = chosen if chosen in {"light", "dark"} else None
    html = _environment().get_template(template).render(theme=theme, **viewer_values(request), **values)
    body = html.encode("utf-8", "replace")  # a lone surrogate in a name must not cost the page
    return Response(body, status_code=status, media_type="text/html", headers=HEADERS)
