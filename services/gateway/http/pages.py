"""The few pages outside the console: they close a consent, or explain what went wrong.

Their style and scripts are inline and allowed by digest, so that nothing else can run there. They
send no COOP header: it would cut a popup off from the page that opened it.

The content security policies of all the gateway's answers are defined here.
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
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""Let a page run nothing but our own files.

Browsers check every redirect of a form against ``form-action``, and providers redirect to hosts
that nobody can list here. So a consent is reached by a link, never by a form's redirect.
"""
CLOSE: Final = "window.close();"
# A script may only close a window that a script opened, or one without a history.
# https://html.spec.whatwg.org/multipage/nav-history-apis.html#script-closable
# Twelve seconds are enough to read the sentence on the page.
CLOSE_LATER: Final = (
    "document.querySelector('button').addEventListener('click',()=>window.close());"
    "if(window.opener||history.length<2)setTimeout(()=>window.close(),12000);"
)
# The colours and shapes of the console's own style sheet, which this policy would not load.
STYLE: Final = (
    ":root{color-scheme:light dark;--ground:light-dark(#f4f6f9,#0d1218);"
    "--sheet:light-dark(#fff,#151c24);--raised:light-dark(#fff,#1b242e);"
    "--line:light-dark(#dde3ea,#26303b);--line-strong:light-dark(#c3ccd6,#3a4754);"
    "--ink:light-dark(#14202e,#e8eef4);--soft:light-dark(#53616f,#a3b0bd);"
    "--accent:light-dark(#0b63c5,#62aaf6)}"
    "*{box-sizing:border-box}"
    "body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1rem;"
    "background:var(--ground);color:var(--ink);"
    'font:1rem/1.5 ui-sans-serif,system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,'
    "sans-serif}"
    "main{width:min(27rem,100%);min-width:0;padding:1.5rem;background:var(--sheet);"
    "border:1px solid var(--line);border-radius:12px;overflow-wrap:anywhere;"
    "box-shadow:0 1px 2px rgb(20 32 46 / 6%),0 4px 16px rgb(20 32 46 / 5%)}"
    "h1{margin:0 0 .6rem;font-size:1.25rem;line-height:1.25;letter-spacing:-.01em}"
    "p{margin:0;color:var(--soft)}p+p{margin-top:1.25rem}"
    "a{color:var(--accent);text-underline-offset:.2em}"
    "button{margin-right:.75rem;min-height:2.25rem;padding:.25rem .9rem;font:inherit;"
    "font-weight:500;color:var(--ink);background:var(--raised);cursor:pointer;"
    "border:1px solid var(--line-strong);border-radius:8px}"
    "button:hover{border-color:var(--accent);color:var(--accent)}"
    ":focus-visible{outline:2px solid var(--accent);outline-offset:2px;border-radius:4px}"
)
_VIEWPORT: Final = '<meta name="viewport" content="width=device-width">'


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _headers(script: str | None) -> dict[str, str]:
    scripts = f"script-src {_digest(script)}; " if script else ""
    policy = (
        f"default-src 'none'; {scripts}style-src {_digest(STYLE)}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "content-security-policy": policy,
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
    }


def wants_page(request: AnyRequest) -> bool:
    """Return True for a browser, which asks for HTML by name. Programs ask for JSON or anything."""
    return "text/html" in request.headers.get("accept", "")


def wants_json(request: AnyRequest) -> bool:
    return "application/json" in request.headers.get("accept", "") and not wants_page(request)


def close_window(provider: str, account: str) -> Response[str]:
    """Return the page that closes itself, with a text for a tab that a script may not close.

    ``account`` is the provider's text. The original app answered a successful callback like this.
    """
    page = (
        f'<html><script>{CLOSE}</script><meta charset="utf-8">{_VIEWPORT}'
        f"<title>Connected</title><style>{STYLE}</style><main>"
        f"<h1>Connected: {escape(provider)}, <bdi>{escape(account)}</bdi></h1>"
        "<p>You can close this window.</p></main></html>"
    )
    return Response(page, media_type=MediaType.HTML, headers=_headers(CLOSE))


def explain(
    status: int,
    detail: str,
    *,
    back: str | None = None,
    popup: bool = False,
    declined: bool = False,
    headers: Mapping[str, str] | None = None,
) -> Response[bytes]:
    """Return a page that says what went wrong. In a popup it closes after 12 s, or by its button.

    ``detail`` is our own text, never a provider's. ``back`` has been checked: it is a path of ours
    or a page of an allowed origin.
    """
    title = "That did not work" if status < 500 else "Something went wrong"
    if declined:
        title = "Not connected"
    line = "" if declined else f"<p><small>{status} {HTTPStatus(status).phrase}</small></p>"
    return _page(status, title, detail, back=back, popup=popup, line=line, headers=headers)


def came_back(*, connected: bool, back: str | None) -> Response[bytes]:
    """Return the page for a browser that comes back to the end of its consent.

    Nothing was done again, so its status is that of a refusal.
    """
    if connected:
        detail = "This account is already connected. You can close this window."
        return _page(400, "Already connected", detail, back=back, popup=True)
    detail = "This takes a few seconds. Reload the page to see how it went."
    return _page(400, "Still connecting", detail, back=back, popup=True)


def _page(
    status: int,
    title: str,
    detail: str,
    *,
    back: str | None,
    popup: bool,
    line: str = "",
    headers: Mapping[str, str] | None = None,
) -> Response[bytes]:
    target, label = (back, "Go back") if back else ("/", "Go to the console")
    # A checked address may still hold & and '. A popup belongs to an embedder's customer, who has
    # no business in the console.
    link = f'<a href="{escape(target, quote=True)}">{label}</a>' if back or not popup else ""
    button = "<button>Close this window</button>" if popup else ""
    script = f"<script>{CLOSE_LATER}</script>" if popup else ""
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8">{_VIEWPORT}'
        f"<title>{title}</title><style>{STYLE}</style>"
        f"<main><h1>{title}</h1><p>{escape(detail)}</p><p>{button}{link}</p>"
        f"{line}</main>{script}</html>"
    )
    shown = {**_headers(CLOSE_LATER if popup else None), **(headers or {})}
    return Response(page.encode(), status_code=status, media_type=MediaType.HTML, headers=shown)
