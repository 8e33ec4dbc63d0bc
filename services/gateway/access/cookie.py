"""The cookie that holds a session of the console."""

from __future__ import annotations

from services.gateway.access.caller import AnyConnection
from services.gateway.settings import GatewaySettings


def session_token(connection: AnyConnection, settings: GatewaySettings) -> str | None:
    return connection.cookies.get(_name(settings)) or None


def session_cookie(token: str, settings: GatewaySettings) -> str:
    """The ``Set-Cookie``; an empty token takes it away.

    Lax, because the way back from a provider ends on a page of ours; it lives as long as the browser, the session
    itself ends at the server. Browsers take ``__Host-`` cookies on plain http not everywhere, not even for localhost.
    """
    parts = [f"{_name(settings)}={token}", "Path=/", "HttpOnly", "SameSite=Lax"]
    if not token:
        parts.append("Max-Age=0")
    if _secure(settings):
        parts.append("Secure")
    return "; ".join(parts)


def _name(settings: GatewaySettings) -> str:
    return "__Host-tributary_session" if _secure(settings) else "tributary_session"


def _secure(settings: GatewaySettings) -> bool:
    return settings.public_url.startswith("https://")
