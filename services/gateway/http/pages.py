"""The few pages that are no part of the console: they close a consent, or explain what went wrong.

Their style and scripts stand in the page and are allowed by digest, so that nothing else can run in it. No COOP: it
would cut a popup off from the page that opened it.

The content security policy of everything that the gateway answers stands here.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from html import escape
from http import HTTPStatus
from typing import Final

from litestar import Response
from litestar.enums import MediaType

from services.gateway.http.validation import AnyRequest

DATA_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""Nothing runs on a page but our own files.

Browsers hold every redirect of a form against ``form-action``, and providers redirect to hosts that nobody can list
here: a consent is reached by a link, never by a form's redirect.
"""
CLOSE: Final = "window.close();"
CLOSE_LATER: Final = (
    "document.querySelector('button').addEventListener('click',()=>window.close());"
    "if(window.opener||history.length<2)setTimeout(()=>window.close(),12000);"
)
_STYLE: Final = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:12vh auto;padding:0 "
    "1.25rem}h1{font-size:1.25rem}button{font:inherit;padding:.4rem .9rem;margin-right:.75rem}"
)


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _headers(script: str | None) -> dict[str, str]:
    scripts = f"script-src {_digest(script)}; " if script else ""
    return {
        "content-security-policy": f"default-src 'none'; {scripts}style-src {_digest(_STYLE)}; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'",
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
    }


def wants_page(request: AnyRequest) -> bool:
    """A browser asks for HTML by name; a program asks for JSON, or for anything."""
    return "text/html" in request.headers.get("accept", "")


def wants_json(request: AnyRequest) -> bool:
    return "application/json" in request.headers.get("accept", "") and not wants_page(request)


def close_window() -> Response[str]:
    """What the original app answered to a good callback, with words for a tab that a script may not close."""
    page = (
        f'<html><script>{CLOSE}</script><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Connected</title><style>{_STYLE}</style><main><h1>Connected</h1>"
        '<p>You can close this window, or <a href="/">go to the console</a>.</p></main></html>'
    )
    return Response(page, media_type=MediaType.HTML, headers=_headers(CLOSE))


def explain(
    status: int,
    detail: str,
    *,
    back: str | None = None,
    popup: bool = False,
    headers: Mapping[str, str] | None = None,
) -> Response[bytes]:
    """``detail`` is ours, never a provider's text. In a popup the page closes itself after 12 s, or by its button.

    ``back`` was checked: it is a path of ours or of an allowed origin.
    """
    title = "That did not work" if status < 500 else "Something went wrong here"
    link = f'<a href="{escape(back or "/", quote=True)}">{"Go back" if back else "Go to the console"}</a>'
    button = "<button>Close this window</button>" if popup else ""
    script = f"<script>{CLOSE_LATER}</script>" if popup else ""
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style><main><h1>{title}</h1><p>{escape(detail)}</p>"
        f"<p>{button}{link}</p><p><small>{status} {HTTPStatus(status).phrase}</small></p></main>{script}</html>"
    )
    shown = {**_headers(CLOSE_LATER if popup else None), **(headers or {})}
    return Response(page.encode(), status_code=status, media_type=MediaType.HTML, headers=shown)
