"""Style the sandbox's own pages, and limit what a browser may do with them."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape
from typing import Final

STYLE: Final = """
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif;--line:light-dark(#d4d4d8,#3f3f46);
--quiet:light-dark(#52525b,#a1a1aa);--main:light-dark(#1d4ed8,#60a5fa)}
*{box-sizing:border-box}body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1rem;
background:light-dark(#f4f4f5,#18181b);color:light-dark(#18181b,#f4f4f5)}
main{width:min(27rem,100%);min-width:0;padding:1.5rem;background:light-dark(#fff,#27272a);
border:1px solid var(--line);
border-radius:14px;overflow-wrap:anywhere}main.wide{width:min(54rem,100%)}
.mark{display:inline-block;padding:.1rem .6rem;border-radius:99px;background:#b45309;color:#fff;
font-size:.8rem}
h1{font-size:1.3rem;margin:.6rem 0}h2{font-size:1.05rem;margin:1.5rem 0 .5rem}
p,li,small,dd{color:var(--quiet)}
code,pre{color:light-dark(#18181b,#f4f4f5);font-size:.85rem}pre{margin:.4rem 0 0;
padding:.5rem .75rem;overflow:auto;
border:1px solid var(--line);border-radius:8px;white-space:pre-wrap}dt{margin-top:1rem}
dd{margin:.2rem 0 0}
ul{padding-left:1.2rem}li{padding:.1rem 0}fieldset{border:0;padding:0;margin:1.25rem 0;min-width:0}
legend{font-weight:600;padding:0 0 .5rem}.choices{max-height:40vh;overflow:auto;padding:3px}
label{display:flex;gap:.6rem;align-items:baseline;padding:.6rem .75rem;margin-bottom:.5rem;
border:1px solid var(--line);
border-radius:10px;cursor:pointer}label:has(:checked){border-color:var(--main);
box-shadow:inset 0 0 0 1px var(--main)}
label span{display:grid}input{accent-color:var(--main)}
dl.values{display:grid;grid-template-columns:minmax(0,1fr) minmax(0,2fr);gap:.35rem 1rem;
white-space:pre-wrap}dl.values>*{margin:0}.do{display:flex;gap:.75rem;flex-wrap:wrap}button{flex:1;
font:inherit;font-weight:600;padding:.65rem 1.2rem;
border-radius:10px;border:1px solid var(--line);background:none;color:inherit;cursor:pointer}
button[value=allow]{background:#1d4ed8;border-color:#1d4ed8;color:#fff}
button:hover{filter:brightness(1.1)}
:focus-visible{outline:3px solid var(--main);outline-offset:2px}
"""
STYLE_HASH: Final = b64encode(sha256(STYLE.encode()).digest()).decode()


def page(title: str, body: str, *, wide: bool = False) -> bytes:
    """Return a whole document; ``body`` is markup whose values are already escaped."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" '
        'href="data:,">'
        f"<style>{STYLE}</style></head><body><main "
        f'class="{"wide" if wide else "card"}">{body}</main></body></html>'
    ).encode()


def headers(form_targets: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the headers of a page.

    ``form_targets`` are the origins that a form's answer may redirect to: Chromium applies
    form-action to every redirect. COOP is left out: on a page that the popup passes through, it
    makes the opener believe that the popup was closed.
    """
    targets = " ".join(("'self'", *dict.fromkeys(form_targets)))
    policy = (
        f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; img-src data:; base-uri 'none'; "
        f"frame-ancestors 'none'; form-action {targets}"
    )
    return {
        "Cache-Control": "no-store",
        "Content-Security-Policy": policy,
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
