"""What auth publishes on ``tributary.connections.v1``: the whole public snapshot, at each change."""

from __future__ import annotations

from typing import Literal

import msgspec

Status = Literal["active", "degraded", "reauth_required", "disconnected"]


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The provider's account: ``id`` as the provider gives it, ``name`` as a person would know it."""

    id: str
    name: str | None = None


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """Public facts of a connection; never a token, code or secret.

    ``version`` rises by one at every event, ``generation`` at every return after a disconnect, ``epoch`` at every
    token refresh. ``resources`` are those the granted scopes allow. Times are RFC 3339 UTC.
    """

    id: str
    version: int
    generation: int
    org_id: str
    user_id: str
    provider: str
    client_id: str
    account: Account
    grantee: str | None = None
    status: Status
    reason: str | None = None
    scopes: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    epoch: int
    sync_id: str | None = None
    """The id of the newest ``Connected`` or ``Recovered`` event, which is the id of the sync it starts."""
    created: str
    updated: str


KINDS: dict[str, type[Connection]] = {
    "Connected": Connection,
    "Refreshed": Connection,
    "ReauthorizationNeeded": Connection,
    "Recovered": Connection,
    "Disconnected": Connection,
}
STARTS_SYNC = frozenset({"Connected", "Recovered"})
