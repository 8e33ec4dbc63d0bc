"""Where a browser may be sent after a consent: a path of ours, or a page of an allowed origin."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final
from urllib.parse import unquote, urlsplit

from shared.errors import BadRequest

LONGEST: Final = 2_048
_ALLOWED: Final = re.compile(r"[\[\]A-Za-z0-9\-._~!$&'()*+,;=:@/?#%]*")
"""The characters of RFC 3986; browsers read others (a backslash, a tab) in ways of their own."""
_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


def checked_return_url(url: str | None, *, allowed_origins: Collection[str]) -> str | None:
    """The URL as it was given, None for None.

    A path must start with one slash that no second one follows, in clear or encoded. An absolute URL must have exactly
    an allowed origin: no user information, no other spelling of it.

    Raises:
        BadRequest: anything else.
    """
    if url is None:
        return None
    if len(url) <= LONGEST and _ALLOWED.fullmatch(url) and not _ESCAPE.search(url):
        if url.startswith("/") and _is_own_path(url):
            return url
        if _origin_of(url) in allowed_origins:
            return url
    raise BadRequest(
        "return_url must be a path of this server, such as /, or a page of an allowed origin.", code="bad_return_url"
    )


def _is_own_path(url: str) -> bool:
    path = re.split("[?#]", url, maxsplit=1)[0]
    for _ in range(3):  # an encoded slash may be encoded again
        if path.startswith("//") or "\\" in path or not path.isprintable() or "/.." in path or "/./" in path:
            return False
        path = unquote(path)
    return True


def _origin_of(url: str) -> str | None:
    """Scheme and authority as they are written: user information or another spelling makes it no allowed origin."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    origin = f"{parts.scheme}://{parts.netloc}"
    return origin if url.startswith(origin) else None
