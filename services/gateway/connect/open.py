"""Hand a started consent to the browser that opened its link."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from services.gateway.hub import Hub
from shared.errors import NotFound

_PLAIN: Final = "flow_"
_HOST_ONLY: Final = "__Host-flow_"
_FLOW_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """Where to send the browser, and the ``Set-Cookie`` that binds the flow to it."""

    url: str
    cookie: str


async def open_connect(flow_id: str, *, hub: Hub) -> Opened:
    """Raises ``NotFound``, or ``HubError`` with status 410 when the link was used or is too old."""
    if not _FLOW_ID.fullmatch(flow_id):
        raise NotFound("There is no such connect link. Start connecting again.")
    opened = await hub.auth.open_flow(flow_id)
    cookie = _set_cookie(hub, flow_id, opened.cookie, max_age_s=opened.max_age_s)
    return Opened(url=opened.authorize_url, cookie=cookie)


def dropped_cookie(flow_id: str, *, hub: Hub) -> str:
    """The ``Set-Cookie`` that takes a flow's cookie away."""
    return _set_cookie(hub, flow_id, "", max_age_s=0)


def flow_cookies(cookies: Mapping[str, str]) -> dict[str, str]:
    """Flow id → value of the flow cookies among a request's cookies."""
    found = {}
    for name, value in cookies.items():
        for prefix in (_PLAIN, _HOST_ONLY):
            if name.startswith(prefix) and _FLOW_ID.fullmatch(name[len(prefix) :]):
                found[name[len(prefix) :]] = value
    return found


def _set_cookie(hub: Hub, flow_id: str, value: str, *, max_age_s: int) -> str:
    """Lax, because Strict cookies are not sent on the way back from a provider; Secure where the public URL is https.

    Browsers take ``__Host-`` cookies on plain http not everywhere, not even for localhost.
    """
    secure = hub.settings.public_url.startswith("https://")
    name = f"{_HOST_ONLY if secure else _PLAIN}{flow_id}"
    cookie = f"{name}={value}; HttpOnly; Max-Age={max_age_s}; Path=/; SameSite=Lax"
    return f"{cookie}; Secure" if secure else cookie
