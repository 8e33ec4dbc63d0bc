"""Build the request that leaves from what the caller gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

import httpx
import msgspec

from shared.http.failures import HttpError

Pairs = Mapping[str, str] | Sequence[tuple[str, str]]

_HEADERS: Final = {
    "accept": "application/json",
    "accept-encoding": "gzip",
    "user-agent": "tributary",
}


def outgoing(
    method: str,
    url: str,
    headers: Mapping[str, str] | None,
    params: Pairs | None,
    body: tuple[bytes, str | None],
) -> httpx.Request:
    """Return the request. Raise ``HttpError`` if ``url`` is no http or https URL.

    ``params`` are added to the URL's query; ``httpx.Request`` would replace it.
    """
    content, content_type = body
    given = {name.lower(): value for name, value in (headers or {}).items()}
    kind = {"content-type": content_type} if content_type else {}
    if params:
        url = f"{url}{'&' if '?' in url else '?'}{urlencode(_pairs(params), safe=',')}"
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL:
        address = httpx.URL("")
    if address.scheme not in {"http", "https"} or not address.host:
        raise HttpError("A request was addressed to something that is no http or https URL.")
    return httpx.Request(method, address, headers={**_HEADERS, **kind, **given}, content=content)


def encoded(json: Any, content: bytes | None, form: Pairs | None) -> tuple[bytes, str | None]:
    """Return the bytes of the body and their content type."""
    if json is not msgspec.UNSET:
        return msgspec.json.encode(json), "application/json"
    if form is not None:
        return urlencode(_pairs(form)).encode(), "application/x-www-form-urlencoded"
    return content or b"", None


def _pairs(pairs: Pairs) -> Sequence[tuple[str, str]]:
    return tuple(pairs.items()) if isinstance(pairs, Mapping) else pairs
