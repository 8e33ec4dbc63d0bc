"""Calls of the other services to auth over HTTP (``Authorization: Bearer <service secret>``).

| call | body | answer |
|---|---|---|
| POST /flows | StartFlow | Flow |
| GET /flows/{flow} | | Flow |
| POST /flows/{flow}/open | | OpenedFlow |
| POST /callback | Callback | CallbackResult |
| GET /connections | ?org_id&user_id&provider | Connections, oldest first, no disconnected ones |
| GET /connections/{id} | | Connection |
| DELETE /connections/{id} | | Connection, disconnected |
| POST /connections/{id}/token | TokenRequest | AccessToken |

Errors are ``{"code", "detail"}`` with the status of the ``TributaryError`` they were.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from typing_extensions import override

from shared.contracts.connections import Connection

FlowStatus = Literal["pending", "connected", "failed"]


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    detail: str


class StartFlow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Start a consent. The gateway has already checked ``return_url``."""

    provider: str
    org_id: str
    user_id: str
    return_url: str | None = None


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """A consent. ``authorize_url`` is our own short link; ``error`` is set when it failed."""

    flow_id: str
    authorize_url: str
    provider: str
    org_id: str
    user_id: str
    status: FlowStatus
    return_url: str | None = None
    connection_id: str | None = None
    error: ErrorBody | None = None
    created_at: str


class OpenedFlow(msgspec.Struct, frozen=True, kw_only=True):
    """The provider's authorize URL, and the value of the cookie that ties the flow to a browser."""

    authorize_url: str
    cookie: str
    max_age_s: int

    @override
    def __repr__(self) -> str:
        return f"OpenedFlow(max_age_s={self.max_age_s})"


class Callback(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A callback.

    ``params`` is its query; ``cookies`` maps a flow's id to the value of its cookie.
    """

    provider: str
    params: dict[str, str]
    cookies: dict[str, str]

    @override
    def __repr__(self) -> str:
        return f"Callback(provider={self.provider!r}, params={sorted(self.params)})"


class CallbackResult(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a callback: either ``connection`` or ``error`` is set.

    ``flow`` is None when the state belongs to no live flow. An error beside a flow that has not
    failed means that the browser which finished it, or is finishing it, has come back. ``event`` is
    the kind that was published (``Connected`` or ``Recovered``).
    """

    flow: Flow | None
    connection: Connection | None = None
    event: str | None = None
    error: ErrorBody | None = None


class Connections(msgspec.Struct, frozen=True, kw_only=True):
    connections: tuple[Connection, ...]


class TokenRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask for a usable token.

    ``stale_version`` is the one that the provider refused: it is refreshed if it is still the
    current one.
    """

    stale_version: int | None = None


class AccessToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token.

    Callers neither log nor store it. ``expires_in_s`` None: the provider does not say.
    """

    access_token: str
    token_version: int
    expires_in_s: float | None = None

    @override
    def __repr__(self) -> str:
        return f"AccessToken(token_version={self.token_version})"
