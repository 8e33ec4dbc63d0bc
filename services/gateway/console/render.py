"""Render templates, with every value escaped, for the viewer that the console acts as."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Response

from services.gateway.console.formatting import number
from services.gateway.context import GatewayContext
from services.gateway.http.pages import PAGE_POLICY
from services.gateway.http.validation import AnyRequest
from services.gateway.security.guard import caller_of
from shared.contracts.auth import Flow
from shared.contracts.connections import Connection

TEMPLATES: Final = Path(__file__).parent / "templates"
HEADERS: Final = {
    "Content-Security-Policy": PAGE_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""The headers of every page of the console.

No Cross-Origin-Opener-Policy: the page that opened the connect window must be able to reach it. Not
``no-referrer``: browsers would then send ``Origin: null`` with our own forms.
"""
THEMES: Final = (("auto", "Auto"), ("light", "Light"), ("dark", "Dark"))
ORG: Final = "demo"
USER: Final = "demo"
"""The org and user that the console acts as where no keys are needed."""
SIGNED_IN: Final = "console"
"""The user of a signed-in viewer, who sees the connections of all users of the organisation."""


class Notice(msgspec.Struct, frozen=True):
    """The latest event, shown above the cards; ``kind`` is ``good`` or ``bad``."""

    kind: str
    title: str
    detail: str


@cache
def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        # Jinja escapes nothing by default. Here every value is escaped, so queries keep raw text.
        autoescape=True,
        # A misspelt name fails in the first test instead of printing nothing.
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals |= {"number": number, "themes": THEMES}
    return found


def render(
    template: str, *, request: AnyRequest, status: int = 200, **values: Any
) -> Response[bytes]:
    chosen = request.cookies.get("theme")
    theme = chosen if chosen in {"light", "dark"} else None
    html = (
        _environment()
        .get_template(template)
        .render(theme=theme, **viewer_values(request), **values)
    )
    body = html.encode("utf-8", "replace")  # A lone surrogate in a name must not break the page.
    return Response(body, status_code=status, media_type="text/html", headers=HEADERS)


def org_of(context: GatewayContext) -> str:
    return context.org or ORG


def user_of(context: GatewayContext) -> str:
    return USER if context.org is None else SIGNED_IN


def whose(context: GatewayContext) -> str | None:
    """Return the only user whose connections are shown; None for all users of the organisation."""
    return USER if context.org is None else None


def shows(context: GatewayContext, made: Connection | Flow) -> bool:
    return made.org_id == org_of(context) and whose(context) in {None, made.user_id}


def viewer_values(request: AnyRequest) -> dict[str, Any]:
    """Return the viewer's values for a template; ``viewer`` is None on the sign-in page."""
    caller = caller_of(request)
    signed_in = caller is not None and caller.org is not None
    return {
        "viewer": caller,
        "org": caller.org if caller and signed_in else ORG,
        "user": SIGNED_IN if signed_in else USER,
        "writes": caller is not None and caller.may("write"),
    }
